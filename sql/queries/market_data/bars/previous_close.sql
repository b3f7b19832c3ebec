-- The close of the last bar of one symbol before a moment.
-- Parameters: symbol text, moment timestamptz. Rides on <table>_symbol_time.
SELECT close FROM {table} WHERE symbol = %(symbol)s AND time < %(timestamp)s ORDER BY time DESC LIMIT 1
