-- The coverage of each source, one row per disjoint interval.
-- Parameters: symbol, timeframe text. Uses the primary key.
SELECT source, lower(span), upper(span)
FROM market_data.coverage, unnest(answered) AS span
WHERE symbol = %(symbol)s AND timeframe = %(timeframe)s
ORDER BY source, 2
