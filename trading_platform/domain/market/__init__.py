"""What markets are made of: instruments, calendars, bars, trades and quotes, splits and dividends."""
