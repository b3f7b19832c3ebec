-- The outages due for repair: ended, or with a repair that began so long ago that it counts as failed.
-- Parameters: now timestamptz, limit integer. Uses outages_due.
SELECT id, source, symbol, down_at, up_at, reason, state, attempts, next_attempt_at, note, repaired_at
FROM market_data.outages
WHERE state IN ('closed', 'repairing') AND next_attempt_at <= %(now)s
ORDER BY next_attempt_at, id
LIMIT %(limit)s
