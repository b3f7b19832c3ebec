-- How many bars each of some symbols has before a timestamp.
-- Parameters: symbols varchar[], timestamp timestamptz. Uses <table>_symbol_time (index only).
SELECT symbol, count(*) FROM {table}
WHERE symbol = ANY(%(symbols)s) AND time < %(timestamp)s
GROUP BY symbol
