-- The partitions of some symbols that have fewer indicators than bars.
-- Parameters: symbols varchar[], since timestamptz, unit text (month or year). Rides on <table>_symbol_time of both
-- tables (index only).
SELECT symbol, part, part + ('1 ' || %(unit)s::text)::interval
FROM (
    SELECT symbol, date_trunc(%(unit)s::text, time, 'UTC') AS part, count(*) AS rows
    FROM {bars} WHERE symbol = ANY(%(symbols)s) AND time >= %(since)s::timestamptz GROUP BY 1, 2) AS bars
LEFT JOIN (
    SELECT symbol, date_trunc(%(unit)s::text, time, 'UTC') AS part, count(*) AS rows
    FROM {table} WHERE symbol = ANY(%(symbols)s) AND time >= %(since)s::timestamptz GROUP BY 1, 2) AS computed
USING (symbol, part)
WHERE bars.rows > COALESCE(computed.rows, 0)
ORDER BY 1, 2
