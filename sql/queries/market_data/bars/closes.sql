-- For charts: the last close of each step of time.
-- Parameters: symbols text[], start, end timestamptz, step interval. Uses <table>_symbol_time.
SELECT DISTINCT ON (symbol, date_bin(%(step)s::interval, time, %(start)s)) symbol, time, close::double precision
FROM {table}
WHERE symbol = ANY(%(symbols)s) AND time >= %(start)s AND time < %(end)s
ORDER BY symbol, date_bin(%(step)s::interval, time, %(start)s), time DESC
