-- Claims gaps for a repair attempt: those that are due, or all of the given ones. An attempt without a note is unfinished.
-- Parameters: ids bigint[], now, again_at timestamptz, whatever boolean (even if not due or failed permanently).
-- Uses the primary key.
UPDATE market_data.gaps
SET state = 'open', attempts = attempts + 1, tried_at = %(now)s::timestamptz, next_attempt_at = %(again_at)s, note = NULL
WHERE id = ANY(%(ids)s) AND (%(whatever)s::boolean OR state = 'open' AND next_attempt_at <= %(now)s::timestamptz)
RETURNING id, dataset, symbol, timeframe, starts_at, ends_at, kind, state, attempts, found_at, tried_at, next_attempt_at, note, incident
