-- The opens of the last bars of one symbol before a moment that trades made, newest first.
-- Parameters: symbol text, moment timestamptz, count integer. Rides on <table>_symbol_time, newest partition first.
SELECT time FROM {table}
WHERE symbol = %(symbol)s AND time < %(timestamp)s AND quality <> 'no_trade'
ORDER BY time DESC
LIMIT %(count)s
