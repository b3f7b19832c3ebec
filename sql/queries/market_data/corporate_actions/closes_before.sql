-- The last daily bar before each of some dates. Parameters: symbols text[] and dates timestamptz[], side by side.
-- Uses bars_1d_symbol_time, one lookup per date.
SELECT wanted.symbol, wanted.ex_date, before.time, before.close
FROM unnest(%(symbols)s::varchar[], %(dates)s::timestamptz[]) AS wanted (symbol, ex_date)
CROSS JOIN LATERAL (
    SELECT bar.time, bar.close FROM market_data.bars_1d AS bar
    WHERE bar.symbol = wanted.symbol AND bar.time < wanted.ex_date
    ORDER BY bar.time DESC LIMIT 1
) AS before
