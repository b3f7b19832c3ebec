-- Locks the bars of one symbol and timeframe against other writers until the transaction ends, and lifts TimescaleDB's
-- limit on decompressed rows for this transaction.
-- Parameters: symbol, timeframe text.
SELECT pg_advisory_xact_lock(hashtext('bars'), hashtext(%(symbol)s || '/' || %(timeframe)s)),
       set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', TRUE)
