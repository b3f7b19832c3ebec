-- Records that an outage is repaired.
-- Parameters: id bigint, now timestamptz, note text. Uses the primary key.
UPDATE market_data.outages
SET state = 'repaired', repaired_at = %(now)s, note = %(note)s, next_attempt_at = NULL
WHERE id = %(id)s AND state = 'repairing'
