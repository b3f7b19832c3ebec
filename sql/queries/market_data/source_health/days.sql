-- What each source did on each day of a span: requests, rows, corrections, conflicting versions, time down.
-- Parameters: start and end timestamptz, at midnight UTC.
WITH asked AS (
    SELECT source, (asked_at AT TIME ZONE 'UTC')::date AS day, count(*) AS requests,
           count(*) FILTER (WHERE outcome = 'failed') AS failed,
           count(*) FILTER (WHERE outcome = 'empty' AND EXISTS (
               SELECT FROM market_data.coverage_requests AS later
               WHERE later.symbol = request.symbol AND later.timeframe = request.timeframe
                 AND later.source = request.source AND later.id > request.id AND later.outcome = 'stored'
                 AND later.asked <@ request.asked AND later.stored > 0)) AS wrongly_empty,
           sum(stored) AS stored
    FROM market_data.coverage_requests AS request
    WHERE asked_at >= %(start)s AND asked_at < %(end)s
    GROUP BY 1, 2
), refused AS (
    SELECT source, (recorded_at AT TIME ZONE 'UTC')::date AS day, sum(row_count) AS rejected
    FROM market_data.quarantine
    WHERE recorded_at >= %(start)s AND recorded_at < %(end)s
    GROUP BY 1, 2
), replaced AS (
    SELECT source, (replaced_at AT TIME ZONE 'UTC')::date AS day, count(*) AS corrected
    FROM market_data.bar_revisions
    WHERE replaced_at >= %(start)s AND replaced_at < %(end)s AND source IS NOT NULL
    GROUP BY 1, 2
), conflicts AS (
    SELECT source, (time AT TIME ZONE 'UTC')::date AS day, count(*) AS conflicting
    FROM market_data.conflicting_versions
    WHERE time >= %(start)s AND time < %(end)s
    GROUP BY 1, 2
), away AS (
    SELECT source, day::date AS day, sum(extract(epoch FROM
               least(COALESCE(up_at, %(now)s::timestamptz), (day + interval '1 day') AT TIME ZONE 'UTC')
               - greatest(down_at, day AT TIME ZONE 'UTC'))) AS seconds
    FROM market_data.outages,
         generate_series(%(start)s::timestamptz AT TIME ZONE 'UTC', %(end)s::timestamptz AT TIME ZONE 'UTC' - interval '1 day',
                         interval '1 day') AS day
    WHERE down_at < (day + interval '1 day') AT TIME ZONE 'UTC'
      AND COALESCE(up_at, %(now)s::timestamptz) > day AT TIME ZONE 'UTC'
    GROUP BY 1, 2
), members AS (
    SELECT source, count(*) AS instruments FROM config.instruments GROUP BY 1
)
SELECT source, day, COALESCE(requests, 0), COALESCE(failed, 0), COALESCE(wrongly_empty, 0), COALESCE(stored, 0),
       COALESCE(rejected, 0), COALESCE(corrected, 0), COALESCE(conflicting, 0),
       COALESCE(seconds / 86400 / greatest(1, COALESCE(instruments, 1)), 0)::float8
FROM asked
FULL JOIN refused USING (source, day)
FULL JOIN replaced USING (source, day)
FULL JOIN conflicts USING (source, day)
FULL JOIN away USING (source, day)
LEFT JOIN members USING (source)
ORDER BY source, day
