-- Indicators of some symbols in a window, one column each.
-- Parameters: symbols text[], start, end timestamptz; the placeholder columns are the wanted columns. Uses <table>_symbol_time.
SELECT {columns}
FROM {table}
WHERE symbol = ANY(%(symbols)s) AND time >= %(start)s AND time < %(end)s
ORDER BY symbol, time
