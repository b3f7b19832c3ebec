-- Takes gaps for an attempt: those that are due, or all of the given ones. Without a note an attempt is not over.
-- Parameters: ids bigint[], now, again_at timestamptz, whatever boolean (due or not, given up or not).
-- Rides on the primary key.
UPDATE market_data.gaps
SET state = 'open', attempts = attempts + 1, tried_at = %(now)s::timestamptz, next_attempt_at = %(again_at)s, note = NULL
WHERE id = ANY(%(ids)s) AND (%(whatever)s::boolean OR state = 'open' AND next_attempt_at <= %(now)s::timestamptz)
RETURNING id, dataset, symbol, timeframe, starts_at, ends_at, kind, state, attempts, found_at, tried_at, next_attempt_at, note, incident
