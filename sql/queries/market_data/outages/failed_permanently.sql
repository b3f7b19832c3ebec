-- Notes that nobody will try to repair an outage again.
-- Parameters: id bigint, note text. Rides on the primary key.
UPDATE market_data.outages
SET state = 'failed_permanently', note = %(note)s, next_attempt_at = NULL
WHERE id = %(id)s AND state = 'repairing'
