-- All versions of the bars of one symbol in a window that were replaced, in the order in which they were.
-- Parameters: symbol text, timeframe text, start, end timestamptz. Uses the primary key.
SELECT time, symbol, timeframe, open, high, low, close, volume, source, quality, recorded_at, replaced_at, reason
FROM market_data.bar_revisions
WHERE symbol = %(symbol)s AND timeframe = %(timeframe)s AND time >= %(start)s AND time < %(end)s
ORDER BY time, replaced_at
