-- The stored bars from a first to a last time of each symbol, with the bar before, if it is within a week, and the bar
-- after. The bounds exclude the other partitions.
-- Parameters: symbols text[], firsts, lasts timestamptz[]. Uses <table>_symbol_time, three lookups per symbol.
SELECT bar.time, bar.symbol, bar.timeframe, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.source, bar.quality
FROM unnest(%(symbols)s::text[], %(firsts)s::timestamptz[], %(lasts)s::timestamptz[]) AS wanted (name, first, last)
CROSS JOIN LATERAL (
    (SELECT * FROM {table} WHERE symbol = name AND time < first AND time >= first - interval '7 days'
     ORDER BY time DESC LIMIT 1)
    UNION ALL
    (SELECT * FROM {table} WHERE symbol = name AND time >= first AND time <= last)
    UNION ALL
    (SELECT * FROM {table} WHERE symbol = name AND time > last ORDER BY time LIMIT 1)
) AS bar
ORDER BY bar.symbol, bar.time
