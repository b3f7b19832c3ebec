-- The partitions of some symbols with bars that have no indicators: for each the first such bar, the first such bar
-- that is later than the symbol's first indicators, the symbol's last indicators, and whether the partition has any.
-- Bar by bar and not by count: if bars are missing as well, a count would not detect missing indicators.
-- Parameters: symbols varchar[], since timestamptz, unit text (month or year). Uses <table>_symbol_time of both
-- tables (index only).
WITH known AS MATERIALIZED (
    SELECT name AS symbol, earliest.time AS earliest, latest.time AS latest
    FROM unnest(%(symbols)s::varchar[]) AS name
    LEFT JOIN LATERAL (SELECT time FROM {table} WHERE symbol = name ORDER BY time LIMIT 1) AS earliest ON TRUE
    LEFT JOIN LATERAL (SELECT time FROM {table} WHERE symbol = name ORDER BY time DESC LIMIT 1) AS latest ON TRUE
), bare AS MATERIALIZED (
    SELECT symbol, date_trunc(%(unit)s::text, time, 'UTC') AS part, min(time) AS first,
           min(time) FILTER (WHERE time > earliest) AS inside, latest
    FROM {bars} AS bar JOIN known USING (symbol)
    WHERE symbol = ANY(%(symbols)s::varchar[]) AND time >= %(since)s::timestamptz
      AND NOT EXISTS (
          SELECT FROM {table} AS computed
          WHERE computed.symbol = bar.symbol AND computed.time = bar.time
            AND computed.symbol = ANY(%(symbols)s::varchar[]) AND computed.time >= %(since)s::timestamptz)
    GROUP BY symbol, part, latest
)
SELECT symbol, part, part + ('1 ' || %(unit)s::text)::interval, first, inside, latest,
       EXISTS (
           SELECT FROM {table} AS computed
           WHERE computed.symbol = bare.symbol AND computed.time >= part
             AND computed.time < part + ('1 ' || %(unit)s::text)::interval)
FROM bare
ORDER BY 1, 2
