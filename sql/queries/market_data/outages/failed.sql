-- Records that a repair failed, and when the next one is due.
-- Parameters: id bigint, again_at timestamptz, note text. Uses the primary key.
UPDATE market_data.outages
SET state = 'closed', note = %(note)s, next_attempt_at = %(again_at)s
WHERE id = %(id)s AND state = 'repairing'
