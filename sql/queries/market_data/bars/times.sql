-- The opens of the stored bars of some symbols in a window.
-- Parameters: symbols text[], start, end timestamptz. Uses <table>_symbol_time (index only).
SELECT symbol, time FROM {table}
WHERE symbol = ANY(%(symbols)s) AND time >= %(start)s AND time < %(end)s
ORDER BY symbol, time
