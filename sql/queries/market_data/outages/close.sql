-- Records that feeds are up again; repairs are due once the last minute has ended.
-- Parameters: source text, symbols text[], up_at timestamptz. Uses outages_open.
UPDATE market_data.outages
SET up_at = greatest(down_at, %(up_at)s), state = 'closed',
    next_attempt_at = date_trunc('minute', greatest(down_at, %(up_at)s)) + interval '1 minute'
WHERE source = %(source)s AND symbol = ANY(%(symbols)s) AND state = 'open'
