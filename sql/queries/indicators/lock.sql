-- One writer at a time for the indicators of a timeframe's symbols; held until the transaction ends.
-- Parameters: symbols text[] (sorted, so that two writers cannot wait for each other), timeframe text.
SELECT pg_advisory_xact_lock(hashtext('indicators'), hashtext(symbol || '/' || %(timeframe)s))
FROM unnest(%(symbols)s::varchar[]) AS wanted (symbol)
