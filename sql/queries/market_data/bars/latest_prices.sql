-- The newest close of each of some symbols of the universe in a window of one timeframe.
-- Parameters: symbols text[], start, end timestamptz. The placeholder table is the table of the timeframe.
-- Uses the primary key of config.instruments and <table>_symbol_time, one lookup per symbol; the
-- window's values exclude the other partitions.
-- A limit that the planner cannot see keeps it from scanning the primary key through time, as it would for so few
-- rows: that scan would read the whole table where a symbol has none.
SELECT wanted.symbol, latest.time, latest.timeframe, latest.close AS price
FROM config.instruments AS wanted
CROSS JOIN LATERAL (
    SELECT time, timeframe, close FROM {table} AS bar
    WHERE bar.symbol = wanted.symbol AND bar.time >= %(start)s AND bar.time < %(end)s
    ORDER BY bar.time DESC
    LIMIT (SELECT 1)
) AS latest
WHERE wanted.symbol = ANY(%(symbols)s)
