-- For which time sources have answered for some symbols and the bars are still held, whoever may have dropped
-- some since coverage was last brought in line: one row a disjoint interval of each source.
-- Parameters: symbols varchar[], timeframe text, present timestamptz. Rides on the primary key.
SELECT symbol, lower(span), upper(span)
FROM market_data.coverage, unnest(answered * (SELECT market_data.held(%(timeframe)s::text, %(present)s::timestamptz))) AS span
WHERE symbol = ANY(%(symbols)s) AND timeframe = %(timeframe)s
ORDER BY symbol, 2
