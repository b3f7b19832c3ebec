-- Records that a gap has failed permanently and is not retried, and the alert about it.
-- Parameters: id bigint, note, incident text. Uses the primary key.
UPDATE market_data.gaps SET state = 'failed_permanently', note = %(note)s, next_attempt_at = NULL, incident = COALESCE(incident, %(incident)s)
WHERE id = %(id)s AND state = 'open'
