-- The last daily bar before each of some dates. Parameters: symbols text[] and dates timestamptz[], side by side.
-- Rides on bars_1d_symbol_time, one descent a date.
SELECT asked.symbol, asked.ex_date, before.time, before.close
FROM unnest(%(symbols)s::varchar[], %(dates)s::timestamptz[]) AS asked (symbol, ex_date)
CROSS JOIN LATERAL (
    SELECT bar.time, bar.close FROM market_data.bars_1d AS bar
    WHERE bar.symbol = asked.symbol AND bar.time < asked.ex_date
    ORDER BY bar.time DESC LIMIT 1
) AS before
