-- The stored bars from a first to a last time of each symbol, with the one before, if it is of the week before, and
-- the one after. Bounds let the other partitions be left out.
-- Parameters: symbols text[], firsts, lasts timestamptz[]. Rides on <table>_symbol_time, three descents a symbol.
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
