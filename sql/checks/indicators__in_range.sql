-- Indicators outside their mathematical range, or not finite. The placeholder out_of_range is the condition over all indicators, the placeholder which lists those that fail it.
-- Parameters: symbols varchar[] or NULL for all, start, end timestamptz. Uses <table>_symbol_time, or reads the whole table once.
SELECT symbol, time, {which} AS detail
FROM {table}
WHERE (%(symbols)s::varchar[] IS NULL OR symbol = ANY(%(symbols)s::varchar[])) AND time >= %(start)s AND time < %(end)s
  AND ({out_of_range})
