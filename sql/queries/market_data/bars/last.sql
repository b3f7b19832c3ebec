-- The last bars of each of some symbols of the universe in a window; the bars of each symbol are in order.
-- Parameters: symbols text[], count bigint, start, end timestamptz. The placeholder table is the table of the timeframe.
-- Uses the primary key of config.instruments and <table>_symbol_time, one lookup per symbol. The
-- window's values exclude the other partitions when the statement is planned, including the default one, so that the
-- rest are read newest first and no further than needed.
-- A limit that the planner cannot see keeps it from scanning the primary key through time, as it would for so few
-- rows: that scan would read the whole table where a symbol has none.
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
