-- Bars with a price that is missing, not a number or not above zero, or with a volume below zero; an unknown volume is allowed.
-- In PostgreSQL NaN is greater than every other number.
-- Parameters: symbols varchar[] or NULL for all, start, end timestamptz. Uses <table>_symbol_time, or reads the whole table once.
SELECT symbol, time,
       format('open %%s, high %%s, low %%s, close %%s, volume %%s',
              trim_scale(open), trim_scale(high), trim_scale(low), trim_scale(close), trim_scale(volume)) AS detail
FROM {table}
WHERE (%(symbols)s::varchar[] IS NULL OR symbol = ANY(%(symbols)s::varchar[])) AND time >= %(start)s AND time < %(end)s
  AND ((least(open, high, low, close) > 0 AND greatest(open, high, low, close) < 'NaN') IS NOT TRUE
       OR num_nulls(open, high, low, close) > 0
       OR volume < 0 OR volume = 'NaN')
