-- Claims one outage for repair if it is due.
-- Parameters: id bigint, now, again_at timestamptz. Uses the primary key.
UPDATE market_data.outages
SET state = 'repairing', attempts = attempts + 1, next_attempt_at = %(again_at)s
WHERE id = %(id)s AND state IN ('closed', 'repairing') AND next_attempt_at <= %(now)s
RETURNING id, source, symbol, down_at, up_at, reason, state, attempts, next_attempt_at, note, repaired_at
