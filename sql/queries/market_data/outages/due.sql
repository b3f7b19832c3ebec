-- The outages to repair now: over, or begun so long ago that whoever did has died.
-- Parameters: now timestamptz, limit integer. Rides on outages_due.
SELECT id, source, symbol, down_at, up_at, reason, state, attempts, next_attempt_at, note, repaired_at
FROM market_data.outages
WHERE state IN ('closed', 'repairing') AND next_attempt_at <= %(now)s
ORDER BY next_attempt_at, id
LIMIT %(limit)s
