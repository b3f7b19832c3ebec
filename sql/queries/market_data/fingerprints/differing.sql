-- The periods within retention in which the stored bars of some symbols differ from the committed ones.
-- Parameters: symbols varchar[], timeframe text, since, until, present timestamptz.
-- Reads the bars in the window once; uses <table>_symbol_time where they are few.
WITH found AS (
    SELECT symbol,
           date_bin(market_data.fingerprint_period(%(timeframe)s::text), time, timestamptz '1970-01-01 00:00:00+00') AS period_start,
           count(*) AS bar_count, sum(market_data.bar_weight(time, open, high, low, close, volume)) AS checksum
    FROM {table}
    WHERE symbol = ANY(%(symbols)s) AND time >= %(since)s::timestamptz AND time < %(until)s::timestamptz
    GROUP BY 1, 2
), known AS (
    SELECT symbol, period_start, bar_count, checksum
    FROM market_data.fingerprints
    WHERE symbol = ANY(%(symbols)s) AND timeframe = %(timeframe)s::text AND period_start >= %(since)s::timestamptz AND period_start < %(until)s::timestamptz
), held AS MATERIALIZED (
    SELECT market_data.held(%(timeframe)s::text, %(present)s::timestamptz) AS spans
)
SELECT symbol, period_start, period_start + market_data.fingerprint_period(%(timeframe)s::text),
       COALESCE(known.bar_count, 0), COALESCE(found.bar_count, 0)
FROM known FULL JOIN found USING (symbol, period_start)
WHERE (COALESCE(known.bar_count, 0), COALESCE(known.checksum, 0)) <> (COALESCE(found.bar_count, 0), COALESCE(found.checksum, 0))
  AND tstzrange(period_start, period_start + market_data.fingerprint_period(%(timeframe)s::text)) <@ (SELECT spans FROM held)
ORDER BY 1, 2
