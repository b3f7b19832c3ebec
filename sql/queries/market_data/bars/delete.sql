-- Removes the bars of one symbol in a window; the backfill that calls it puts the whole truth of the window back.
-- Parameters: symbol text, start, end timestamptz. Rides on <table>_symbol_time.
DELETE FROM {table} WHERE symbol = %(symbol)s AND time >= %(start)s AND time < %(end)s
