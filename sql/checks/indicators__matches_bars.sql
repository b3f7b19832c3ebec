-- Bars without a row of indicators, and rows of indicators without a bar, as far as the indicators were computed from
-- the bars that are stored now: bars that changed after the version that a partition was computed from are left out,
-- because they make it stale and not wrong. A partition that a stream has begun since the symbol's last computation is
-- left out, too. The placeholder bars is the table of the bars.
-- Parameters: symbols varchar[] or NULL for all, start, end timestamptz, dataset, timeframe text, partition text: the
-- unit of the partitions. Uses both <table>_symbol_time (index only), and for rows found the primary key of
-- input_versions and coverage_requests_symbol_timeframe.
SELECT symbol, time,
       CASE WHEN indicator.computed IS NULL THEN 'a bar without indicators' ELSE 'indicators without a bar' END AS detail
FROM (
    SELECT symbol, time, TRUE AS stored FROM {bars}
    WHERE (%(symbols)s::varchar[] IS NULL OR symbol = ANY(%(symbols)s::varchar[])) AND time >= %(start)s AND time < %(end)s
) AS bar
FULL JOIN (
    SELECT symbol, time, TRUE AS computed FROM {table}
    WHERE (%(symbols)s::varchar[] IS NULL OR symbol = ANY(%(symbols)s::varchar[])) AND time >= %(start)s AND time < %(end)s
) AS indicator USING (symbol, time)
WHERE (bar.stored IS NULL OR indicator.computed IS NULL)
  AND NOT EXISTS (
    SELECT FROM (
        SELECT (SELECT version.input_version FROM market_data.input_versions AS version
                WHERE version.dataset = %(dataset)s AND version.symbol = coalesce(bar.symbol, indicator.symbol)
                  AND version.partition_start = date_trunc(%(partition)s, coalesce(bar.time, indicator.time), 'UTC')) AS own,
               (SELECT max(version.input_version) FROM market_data.input_versions AS version
                WHERE version.dataset = %(dataset)s AND version.symbol = coalesce(bar.symbol, indicator.symbol)) AS newest
    ) AS computed_from
    JOIN market_data.coverage_requests AS request
      ON request.symbol = coalesce(bar.symbol, indicator.symbol) AND request.timeframe = %(timeframe)s AND request.changed
     AND request.asked @> coalesce(bar.time, indicator.time) AND request.id > coalesce(computed_from.own, computed_from.newest)
     AND (computed_from.own IS NOT NULL OR request.origin = 'stream'))
