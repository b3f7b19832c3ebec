-- Bars with conflicting versions from one source.
-- Parameters: symbols varchar[] or NULL for all, start, end timestamptz, timeframe text.
SELECT symbol, time,
       format('%%s has %%s; %%s %%s', compared_with, received,
              CASE WHEN replaced THEN 'it replaced' ELSE 'kept is' END, stored) AS detail
FROM market_data.conflicting_versions
WHERE (%(symbols)s::varchar[] IS NULL OR symbol = ANY(%(symbols)s::varchar[]))
  AND time >= %(start)s AND time < %(end)s AND timeframe = %(timeframe)s
