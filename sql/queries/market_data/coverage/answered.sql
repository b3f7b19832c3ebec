-- For which time the sources have answered, one row a disjoint interval.
-- Parameters: symbol, timeframe text. Rides on the primary key.
SELECT source, lower(span), upper(span)
FROM market_data.coverage, unnest(answered) AS span
WHERE symbol = %(symbol)s AND timeframe = %(timeframe)s
ORDER BY source, 2
