-- One writer at a time for the bars of one symbol and timeframe; held until the transaction ends.
-- Parameters: symbol, timeframe text.
SELECT pg_advisory_xact_lock(hashtext('bars'), hashtext(%(symbol)s || '/' || %(timeframe)s))
