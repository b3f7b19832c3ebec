-- The close of the last bar of one symbol before a timestamp.
-- Parameters: symbol text, timestamp timestamptz. Uses <table>_symbol_time.
SELECT close FROM {table} WHERE symbol = %(symbol)s AND time < %(timestamp)s ORDER BY time DESC LIMIT 1
