"""Market data types: instruments, calendars, bars, splits and dividends."""
