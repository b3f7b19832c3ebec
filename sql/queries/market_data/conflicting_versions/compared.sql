-- Number of bars of a timeframe compared in a scope, by compared_with; sessions are ignored, as the markets concerned never close.
-- Parameters: timeframe text, duration interval, symbols varchar[] or NULL for all, start, end timestamptz.
SELECT compared_with, sum(extract(epoch FROM upper(part) - lower(part)) / extract(epoch FROM %(duration)s::interval))::bigint AS bars
FROM market_data.source_comparisons,
     unnest(compared * tstzmultirange(tstzrange(%(start)s, %(end)s))) AS part
WHERE timeframe = %(timeframe)s AND (%(symbols)s::varchar[] IS NULL OR symbol = ANY(%(symbols)s::varchar[]))
GROUP BY compared_with
ORDER BY compared_with
