-- Times at which a symbol has more than one bar. The primary key excludes this, unless a table was restored without it.
-- Parameters: symbols varchar[] or NULL for all, start, end timestamptz. Uses <table>_symbol_time (index only).
SELECT symbol, time, format('%%s bars of one time', count(*)) AS detail
FROM {table}
WHERE (%(symbols)s::varchar[] IS NULL OR symbol = ANY(%(symbols)s::varchar[])) AND time >= %(start)s AND time < %(end)s
GROUP BY symbol, time
HAVING count(*) > 1
