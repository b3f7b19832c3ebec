-- Records that an outage has failed permanently and is not retried.
-- Parameters: id bigint, note text. Uses the primary key.
UPDATE market_data.outages
SET state = 'failed_permanently', note = %(note)s, next_attempt_at = NULL
WHERE id = %(id)s AND state = 'repairing'
