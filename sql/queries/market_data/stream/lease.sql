-- Claims symbols of a source for as long as the connection lives; gives those that somebody else has.
-- Parameters: source text, symbols text[].
SELECT symbol FROM unnest(%(symbols)s::text[]) AS symbol
WHERE NOT pg_try_advisory_lock(hashtext('stream'), hashtext(%(source)s || '/' || symbol))
ORDER BY symbol
