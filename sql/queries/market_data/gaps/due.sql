-- The gaps due for repair, those that have waited longest first.
-- Parameters: now timestamptz, limit integer. Uses gaps_due.
SELECT id, dataset, symbol, timeframe, starts_at, ends_at, kind, state, attempts, found_at, tried_at, next_attempt_at, note, incident
FROM market_data.gaps
WHERE state = 'open' AND next_attempt_at <= %(now)s
ORDER BY next_attempt_at, id
LIMIT %(limit)s
