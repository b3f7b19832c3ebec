-- Notes minutes of which something was told when they were final; one that was repaired is to be repaired again.
-- Parameters: source, reason text, symbols text[], minutes timestamptz[], now timestamptz.
INSERT INTO market_data.outages AS known (source, symbol, down_at, up_at, reason, state, next_attempt_at)
SELECT %(source)s, symbol, minute, minute + interval '1 minute', %(reason)s, 'closed', %(now)s
FROM unnest(%(symbols)s::text[], %(minutes)s::timestamptz[]) AS late (symbol, minute)
ON CONFLICT (source, symbol, down_at)
DO UPDATE SET state = 'closed', attempts = 0, next_attempt_at = EXCLUDED.next_attempt_at, repaired_at = NULL,
              reason = EXCLUDED.reason, note = NULL, up_at = greatest(known.up_at, EXCLUDED.up_at)
WHERE known.state IN ('repaired', 'given_up')
