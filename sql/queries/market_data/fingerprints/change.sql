-- Updates the fingerprints for bars about to be inserted or to replace others, in the same transaction.
-- Parameters: timeframe text, first, last timestamptz (of the bars), and one array per column of the bars; numbers as
-- text. Uses the primary keys. The bounds exclude the other partitions; without them TimescaleDB reads all it has.
WITH given AS (
    SELECT *
    FROM unnest(%(time)s::timestamptz[], %(symbol)s::varchar::text[], %(open)s::text[]::numeric[], %(high)s::text[]::numeric[],
                %(low)s::text[]::numeric[], %(close)s::text[]::numeric[], %(volume)s::text[]::numeric[])
         AS bar (time, symbol, open, high, low, close, volume)
), change AS (
    SELECT symbol, time, 1 AS bar_count, market_data.bar_weight(time, open, high, low, close, volume) AS weight
    FROM given
    UNION ALL
    SELECT bar.symbol, bar.time, -1,
           -market_data.bar_weight(bar.time, bar.open, bar.high, bar.low, bar.close, bar.volume)
    FROM given JOIN {table} AS bar ON bar.time = given.time AND bar.symbol = given.symbol
    WHERE bar.timeframe = %(timeframe)s::text AND bar.time >= %(first)s::timestamptz AND bar.time <= %(last)s::timestamptz
)
INSERT INTO market_data.fingerprints AS known (symbol, timeframe, period_start, bar_count, checksum)
SELECT symbol, %(timeframe)s::text,
       date_bin(market_data.fingerprint_period(%(timeframe)s::text), time, timestamptz '1970-01-01 00:00:00+00'),
       sum(bar_count), sum(weight)
FROM change
GROUP BY 1, 3
ORDER BY 1, 3
ON CONFLICT (symbol, timeframe, period_start)
DO UPDATE SET bar_count = known.bar_count + EXCLUDED.bar_count, checksum = known.checksum + EXCLUDED.checksum
