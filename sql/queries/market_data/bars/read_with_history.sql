-- Bars of some symbols in a window, and of each symbol the given number of bars before it.
-- Parameters: symbols text[], start, end timestamptz, history integer. The placeholder table is the table of the timeframe.
-- Uses <table>_symbol_time, one lookup per symbol.
SELECT bar.time, bar.symbol, bar.timeframe, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.source, bar.quality
FROM unnest(%(symbols)s::varchar[]) AS wanted (symbol)
CROSS JOIN LATERAL (
    (SELECT * FROM {table} AS inside
     WHERE inside.symbol = wanted.symbol AND inside.time >= %(start)s AND inside.time < %(end)s)
    UNION ALL
    (SELECT * FROM {table} AS before
     WHERE before.symbol = wanted.symbol AND before.time < %(start)s
     ORDER BY before.time DESC
     LIMIT %(history)s)
) AS bar
ORDER BY bar.symbol, bar.time
