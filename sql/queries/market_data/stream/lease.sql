-- Leases symbols of a source for the life of the connection; returns those leased by another connection.
-- Parameters: source text, symbols text[].
SELECT symbol FROM unnest(%(symbols)s::text[]) AS symbol
WHERE NOT pg_try_advisory_lock(hashtext('stream'), hashtext(%(source)s || '/' || symbol))
ORDER BY symbol
