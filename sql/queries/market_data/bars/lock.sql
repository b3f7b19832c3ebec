-- Locks the bars of one symbol and timeframe against other writers until the transaction ends, and lifts TimescaleDB's
-- limit on decompressed rows for this transaction. Returns the time with the lock held, at which what follows is recorded:
-- the times of writers who wait for each other are in the order of their changes.
-- Parameters: symbol, timeframe text.
WITH locked AS MATERIALIZED (
    SELECT pg_advisory_xact_lock(hashtext('bars'), hashtext(%(symbol)s || '/' || %(timeframe)s)),
           set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', TRUE)
)
SELECT clock_timestamp() FROM locked
