-- The trading calendars of some instruments; those outside the universe give no row.
-- Parameters: symbols text[]. Uses the primary key.
SELECT symbol, calendar FROM config.instruments WHERE symbol = ANY(%(symbols)s)
