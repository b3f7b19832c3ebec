-- Indicators of some symbols in a window as they were stored at a time, one column each.
-- Parameters: symbols text[], start, end, recorded_as_of timestamptz, timeframe text; the placeholder columns are the
-- wanted columns. Uses <table>_symbol_time and indicator_revisions_replaced.
SELECT {columns}
FROM {table}
WHERE symbol = ANY(%(symbols)s) AND time >= %(start)s AND time < %(end)s
  AND (recorded_at IS NULL OR recorded_at <= %(recorded_as_of)s)
UNION ALL
SELECT {columns}
FROM market_data.indicator_revisions
WHERE symbol = ANY(%(symbols)s) AND timeframe = %(timeframe)s AND replaced_at > %(recorded_as_of)s
  AND time >= %(start)s AND time < %(end)s AND (recorded_at IS NULL OR recorded_at <= %(recorded_as_of)s)
ORDER BY symbol, time
