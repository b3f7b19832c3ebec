-- The outages with a higher number than a given one.
-- Parameters: after bigint, limit integer. Uses the primary key.
SELECT id, source, symbol, down_at, up_at, reason, state, attempts, next_attempt_at, note, repaired_at
FROM market_data.outages
WHERE id > %(after)s
ORDER BY id
LIMIT %(limit)s
