-- Symbol and year of the bars of some symbols that were replaced.
-- Parameters: symbols text[], timeframe text. Uses the primary key.
SELECT DISTINCT symbol, extract(year FROM time AT TIME ZONE 'UTC')::integer
FROM market_data.bar_revisions
WHERE symbol = ANY(%(symbols)s) AND timeframe = %(timeframe)s
