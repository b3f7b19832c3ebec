-- The outages in some states, newest first.
-- Parameters: states text[], limit integer.
SELECT id, source, symbol, down_at, up_at, reason, state, attempts, next_attempt_at, note, repaired_at
FROM market_data.outages
WHERE state = ANY(%(states)s)
ORDER BY id DESC
LIMIT %(limit)s
