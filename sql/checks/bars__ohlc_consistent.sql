-- Bars with an open or a close outside low to high. bars__positive_prices checks for missing prices.
-- Parameters: symbols varchar[] or NULL for all, start, end timestamptz. Uses <table>_symbol_time, or reads the whole table once.
SELECT symbol, time,
       format('open %%s, high %%s, low %%s, close %%s',
              trim_scale(open), trim_scale(high), trim_scale(low), trim_scale(close)) AS detail
FROM {table}
WHERE (%(symbols)s::varchar[] IS NULL OR symbol = ANY(%(symbols)s::varchar[])) AND time >= %(start)s AND time < %(end)s
  AND (low > open OR low > close OR high < open OR high < close OR low > high)
