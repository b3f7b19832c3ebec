-- Deletes the fingerprints of the periods of one symbol that begin in a window.
-- Parameters: symbol, timeframe text, start, end timestamptz. Uses the primary key.
DELETE FROM market_data.fingerprints
WHERE symbol = %(symbol)s::varchar AND timeframe = %(timeframe)s::text AND period_start >= %(start)s::timestamptz AND period_start < %(end)s::timestamptz
