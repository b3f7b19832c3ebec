-- Locks the indicators of some symbols and a timeframe against other writers until the transaction ends, and lifts
-- TimescaleDB's limit on decompressed rows for this transaction. Returns the time with the locks held, at which what
-- follows is recorded.
-- Parameters: symbols text[] (sorted, to avoid deadlocks), timeframe text.
WITH locked AS MATERIALIZED (
    SELECT pg_advisory_xact_lock(hashtext('indicators'), hashtext(symbol || '/' || %(timeframe)s)),
           set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', TRUE)
    FROM unnest(%(symbols)s::varchar[]) AS wanted (symbol)
)
SELECT clock_timestamp() FROM (SELECT count(*) FROM locked) AS held
