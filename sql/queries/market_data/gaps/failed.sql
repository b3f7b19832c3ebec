-- Records the outcome of an attempt, and when the next one is due.
-- Parameters: id bigint, note text, again_at timestamptz. Uses the primary key.
UPDATE market_data.gaps SET note = %(note)s, next_attempt_at = %(again_at)s WHERE id = %(id)s AND state = 'open'
