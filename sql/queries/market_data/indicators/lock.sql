-- One writer at a time for the indicators of a timeframe's symbols; held until the transaction ends, like the
-- permission to decompress as much as the window needs, where TimescaleDB has compressed it.
-- Parameters: symbols text[] (sorted, so that two writers cannot wait for each other), timeframe text.
SELECT pg_advisory_xact_lock(hashtext('indicators'), hashtext(symbol || '/' || %(timeframe)s)),
       set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', TRUE)
FROM unnest(%(symbols)s::varchar[]) AS wanted (symbol)
