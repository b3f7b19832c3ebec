-- Empty responses that are pending confirmation and that no other source has answered for, within retention: one row per
-- interval of each source.
-- Parameters: symbols varchar[], timeframe text, present timestamptz. Uses the primary key.
SELECT pending.symbol, pending.source, lower(span), upper(span)
FROM market_data.coverage AS pending
CROSS JOIN LATERAL (
    SELECT range_agg(answered) AS answered FROM market_data.coverage AS known
    WHERE known.symbol = pending.symbol AND known.timeframe = pending.timeframe) AS any_source
CROSS JOIN LATERAL unnest(
    (pending.pending_confirmation - any_source.answered) * (SELECT market_data.held(%(timeframe)s::text, %(present)s::timestamptz))) AS span
WHERE pending.symbol = ANY(%(symbols)s) AND pending.timeframe = %(timeframe)s::text AND pending.pending_confirmation <> '{}'
ORDER BY 1, 2, 3
