"""Files of splits and dividends."""
