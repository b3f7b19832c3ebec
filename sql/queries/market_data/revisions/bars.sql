-- Bars of some symbols in a window as they were stored at a time, sorted as bars are.
-- Parameters: symbols text[], start, end, recorded_as_of timestamptz, timeframe text. Uses <table>_symbol_time, and of
-- the revisions bar_revisions_replaced, which finds none where nothing was replaced since.
SELECT time, symbol, timeframe, open, high, low, close, volume, source, quality
FROM {table}
WHERE symbol = ANY(%(symbols)s) AND time >= %(start)s AND time < %(end)s
  AND (recorded_at IS NULL OR recorded_at <= %(recorded_as_of)s)
UNION ALL
SELECT time, symbol, timeframe, open, high, low, close, volume, source, quality
FROM market_data.bar_revisions
WHERE symbol = ANY(%(symbols)s) AND timeframe = %(timeframe)s AND replaced_at > %(recorded_as_of)s
  AND time >= %(start)s AND time < %(end)s AND (recorded_at IS NULL OR recorded_at <= %(recorded_as_of)s)
ORDER BY symbol, time
