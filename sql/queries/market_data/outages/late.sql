-- Records minutes for which events arrived after they were final; an outage that was repaired, or is being repaired
-- without them, is due for repair again.
-- Parameters: source, reason text, symbols text[], starts, ends timestamptz[], now timestamptz.
INSERT INTO market_data.outages AS known (source, symbol, down_at, up_at, reason, state, next_attempt_at)
SELECT %(source)s, symbol, starts, ends, %(reason)s, 'closed', %(now)s
FROM unnest(%(symbols)s::text[], %(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS late (symbol, starts, ends)
ON CONFLICT (source, symbol, down_at)
DO UPDATE SET state = 'closed', attempts = 0, next_attempt_at = EXCLUDED.next_attempt_at, repaired_at = NULL,
              reason = EXCLUDED.reason, note = NULL, up_at = greatest(known.up_at, EXCLUDED.up_at)
WHERE known.state IN ('repairing', 'repaired', 'failed_permanently') OR known.state = 'closed' AND known.up_at < EXCLUDED.up_at
