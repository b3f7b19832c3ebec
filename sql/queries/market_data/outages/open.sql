-- Notes that feeds are down. One that is down already stays as it is; one that was, from the same moment on, goes on:
-- what was told after it came up was lost again before it was stored.
-- Parameters: source, reason text, symbols text[], down_at timestamptz. The caller holds the lock outages/lock.
INSERT INTO market_data.outages AS known (source, symbol, down_at, reason)
SELECT given.source, given.symbol, %(down_at)s, %(reason)s
FROM (SELECT %(source)s::text AS source, unnest(%(symbols)s::text[]) AS symbol) AS given
WHERE NOT EXISTS (
    SELECT FROM market_data.outages AS down
    WHERE down.source = given.source AND down.symbol = given.symbol AND down.state = 'open')
ON CONFLICT (source, symbol, down_at)
DO UPDATE SET state = 'open', up_at = NULL, reason = EXCLUDED.reason, attempts = 0, next_attempt_at = NULL, note = NULL,
              repaired_at = NULL
