-- Number of rows in a scope.
-- Parameters: symbols varchar[] or NULL for all, start, end timestamptz.
SELECT count(*) FROM {table}
WHERE (%(symbols)s::varchar[] IS NULL OR symbol = ANY(%(symbols)s::varchar[])) AND time >= %(start)s AND time < %(end)s
