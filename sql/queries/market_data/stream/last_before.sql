-- The last bar before a time of each symbol, without a lower bound.
-- Parameters: symbols text[], firsts timestamptz[]. Uses <table>_symbol_time, in every partition.
SELECT bar.time, bar.symbol, bar.timeframe, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.source, bar.quality
FROM unnest(%(symbols)s::text[], %(firsts)s::timestamptz[]) AS wanted (name, first)
CROSS JOIN LATERAL (
    SELECT * FROM {table} WHERE symbol = name AND time < first ORDER BY time DESC LIMIT 1
) AS bar
