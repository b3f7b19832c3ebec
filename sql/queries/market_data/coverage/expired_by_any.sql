-- The time with bars of some symbols dropped because of their age: one row per interval of each source.
-- Parameters: symbols varchar[], timeframe text, present timestamptz. Uses the primary key.
SELECT symbol, lower(span), upper(span)
FROM market_data.coverage, unnest(expired + (answered - (SELECT market_data.held(%(timeframe)s::text, %(present)s::timestamptz)))) AS span
WHERE symbol = ANY(%(symbols)s) AND timeframe = %(timeframe)s
ORDER BY symbol, 2
