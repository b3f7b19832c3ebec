-- Removes the indicators of some symbols in a window, before the newly computed ones take their place.
-- Parameters: symbols text[], start, end timestamptz. Rides on <table>_symbol_time.
DELETE FROM {table} WHERE symbol = ANY(%(symbols)s) AND time >= %(start)s AND time < %(end)s
