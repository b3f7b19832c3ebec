-- The last bars of each of some symbols of the universe in a window; each symbol's in order, and of one symbol in all.
-- Parameters: symbols text[], count bigint, start, end timestamptz. The placeholder table is the table of the timeframe.
-- Rides on the primary key of config.instruments and <table>_symbol_time, one descent a symbol. The
-- window's values leave out the other partitions when the statement is planned, the default one too, so that the rest
-- are read newest first and no further than needed.
-- A limit that the planner cannot see keeps it from walking the primary key through time, as it would for so few
-- rows: without end where a symbol has none.
SELECT bar.time, bar.symbol, bar.timeframe, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.source, bar.quality
FROM config.instruments AS wanted
CROSS JOIN LATERAL (
    SELECT * FROM (
        SELECT * FROM {table} AS recent
        WHERE recent.symbol = wanted.symbol AND recent.time >= %(start)s AND recent.time < %(end)s
        ORDER BY recent.time DESC
        LIMIT (SELECT %(count)s::bigint)
    ) AS newest
    ORDER BY newest.time
) AS bar
WHERE wanted.symbol = ANY(%(symbols)s)
