-- The times of rejected bars of some symbols in a window.
-- Parameters: symbols text[], timeframe text, start, end timestamptz. Uses quarantine_symbol_timeframe.
SELECT DISTINCT symbol, time FROM market_data.quarantine
WHERE symbol = ANY(%(symbols)s) AND timeframe = %(timeframe)s AND time >= %(start)s AND time < %(end)s
ORDER BY symbol, time
