-- One writer at a time for the bars of one symbol and timeframe; held until the transaction ends, like the
-- permission to decompress as much as the window needs, where TimescaleDB has compressed it.
-- Parameters: symbol, timeframe text.
SELECT pg_advisory_xact_lock(hashtext('bars'), hashtext(%(symbol)s || '/' || %(timeframe)s)),
       set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', TRUE)
