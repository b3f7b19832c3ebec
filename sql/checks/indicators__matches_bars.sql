-- Bars without a row of indicators, and rows of indicators without a bar. The placeholder bars is the table of the bars.
-- Parameters: symbols varchar[] or NULL for all, start, end timestamptz. Uses both <table>_symbol_time (index only).
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
WHERE bar.stored IS NULL OR indicator.computed IS NULL
