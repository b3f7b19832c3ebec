-- Notes that nobody tries by itself any more, and which alert tells of it.
-- Parameters: id bigint, note, incident text. Rides on the primary key.
UPDATE market_data.gaps SET state = 'failed_permanently', note = %(note)s, next_attempt_at = NULL, incident = COALESCE(incident, %(incident)s)
WHERE id = %(id)s AND state = 'open'
