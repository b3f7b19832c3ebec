-- The newest close of each of some symbols of the universe in a window, of any timeframe; of the shortest timeframe
-- where several are equally new.
-- Parameters: symbols text[], start, end timestamptz.
-- Uses the primary key of config.instruments and on bars_1m_symbol_time, bars_5m_symbol_time, bars_1h_symbol_time
-- and bars_1d_symbol_time, one lookup each per symbol; the window's values exclude the other partitions.
-- A limit that the planner cannot see keeps it from scanning the primary key through time, as it would for so few
-- rows: that scan would read the whole table where a symbol has none.
SELECT wanted.symbol, latest.time, latest.timeframe, latest.close AS price
FROM config.instruments AS wanted
CROSS JOIN LATERAL (
    SELECT * FROM (
        (SELECT time, timeframe, close, 0 AS coarseness FROM market_data.bars_1m AS bar
         WHERE bar.symbol = wanted.symbol AND bar.time >= %(start)s AND bar.time < %(end)s
         ORDER BY bar.time DESC LIMIT (SELECT 1))
        UNION ALL
        (SELECT time, timeframe, close, 1 AS coarseness FROM market_data.bars_5m AS bar
         WHERE bar.symbol = wanted.symbol AND bar.time >= %(start)s AND bar.time < %(end)s
         ORDER BY bar.time DESC LIMIT (SELECT 1))
        UNION ALL
        (SELECT time, timeframe, close, 2 AS coarseness FROM market_data.bars_1h AS bar
         WHERE bar.symbol = wanted.symbol AND bar.time >= %(start)s AND bar.time < %(end)s
         ORDER BY bar.time DESC LIMIT (SELECT 1))
        UNION ALL
        (SELECT time, timeframe, close, 3 AS coarseness FROM market_data.bars_1d AS bar
         WHERE bar.symbol = wanted.symbol AND bar.time >= %(start)s AND bar.time < %(end)s
         ORDER BY bar.time DESC LIMIT (SELECT 1))
    ) AS newest
    ORDER BY newest.time DESC, newest.coarseness
    LIMIT 1
) AS latest
WHERE wanted.symbol = ANY(%(symbols)s)
