-- Records that feeds are down. An open outage stays unchanged; an ended one with the same start is reopened: events
-- received after it ended were lost before they were stored.
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
