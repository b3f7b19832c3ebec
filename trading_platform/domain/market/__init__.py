"""Market data types: instruments, calendars, bars, trades and quotes, splits and dividends."""
