-- Deletes the indicators of some symbols in a window, before the recomputed ones are inserted.
-- Parameters: symbols text[], start, end timestamptz. Uses <table>_symbol_time.
DELETE FROM {table} WHERE symbol = ANY(%(symbols)s) AND time >= %(start)s AND time < %(end)s
