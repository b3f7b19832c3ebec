-- The opens of the last bars of one symbol with trades before a timestamp, newest first.
-- Parameters: symbol text, timestamp timestamptz, count integer. Uses <table>_symbol_time, newest partition first.
SELECT time FROM {table}
WHERE symbol = %(symbol)s AND time < %(timestamp)s AND quality <> 'no_trade'
ORDER BY time DESC
LIMIT %(count)s
