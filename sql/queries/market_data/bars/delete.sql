-- Deletes the bars of one symbol in a window; the caller inserts all bars of the window afterwards.
-- Parameters: symbol text, start, end timestamptz. Uses <table>_symbol_time.
DELETE FROM {table} WHERE symbol = %(symbol)s AND time >= %(start)s AND time < %(end)s
