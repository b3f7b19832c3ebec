-- The last bars of each of some symbols in a window, in no order: the reader sorts them in a quarter of the time.
-- Parameters: symbols text[], count bigint, start, end timestamptz. {table} is the table of the timeframe.
-- Rides on <table>_symbol_time, one descent a symbol. The window's values leave out the other partitions when the
-- statement is planned, the default one too, so that the rest are read newest first, without a sort.
SELECT bar.time, bar.symbol, bar.timeframe, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.source, bar.quality
FROM unnest(%(symbols)s::varchar[]) AS wanted (symbol)
CROSS JOIN LATERAL (
    SELECT * FROM {table} AS recent
    WHERE recent.symbol = wanted.symbol AND recent.time >= %(start)s AND recent.time < %(end)s
    ORDER BY recent.time DESC
    LIMIT %(count)s::bigint
) AS bar
