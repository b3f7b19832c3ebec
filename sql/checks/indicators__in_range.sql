-- Indicators outside of their mathematical range, or not finite; {outside} and {which} name each indicator's bounds.
-- Parameters: symbols varchar[] or NULL for all, start, end timestamptz. Rides on <table>_symbol_time, or reads the whole table once.
SELECT symbol, time, {which} AS detail
FROM {table}
WHERE (%(symbols)s::varchar[] IS NULL OR symbol = ANY(%(symbols)s::varchar[])) AND time >= %(start)s AND time < %(end)s
  AND ({outside})
