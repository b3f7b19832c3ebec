-- For which time sources have answered with nothing that nobody believes yet and no other source has answered for:
-- one row an interval of each source, of what is still held.
-- Parameters: symbols varchar[], timeframe text, present timestamptz. Rides on the primary key.
SELECT doubtful.symbol, doubtful.source, lower(span), upper(span)
FROM market_data.coverage AS doubtful
CROSS JOIN LATERAL (
    SELECT range_agg(answered) AS answered FROM market_data.coverage AS known
    WHERE known.symbol = doubtful.symbol AND known.timeframe = doubtful.timeframe) AS anybody
CROSS JOIN LATERAL unnest(
    (doubtful.pending_confirmation - anybody.answered) * (SELECT market_data.held(%(timeframe)s::text, %(present)s::timestamptz))) AS span
WHERE doubtful.symbol = ANY(%(symbols)s) AND doubtful.timeframe = %(timeframe)s::text AND doubtful.pending_confirmation <> '{}'
ORDER BY 1, 2, 3
