-- As bars/lock, for the bars of many symbols and timeframes at once, always in the same order.
-- Parameters: symbols text[], timeframes text[].
WITH locked AS MATERIALIZED (
    SELECT pg_advisory_xact_lock(hashtext('bars'), key),
           set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', TRUE)
    FROM (
        SELECT DISTINCT hashtext(symbol || '/' || timeframe) AS key
        FROM unnest(%(symbols)s::text[]) AS symbol CROSS JOIN unnest(%(timeframes)s::text[]) AS timeframe
        ORDER BY key
    ) AS keys
)
SELECT clock_timestamp() FROM (SELECT count(*) FROM locked) AS held
