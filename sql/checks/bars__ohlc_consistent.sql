-- Bars whose open or close lies outside of low to high. A missing price is the business of bars__positive_prices.
-- Parameters: symbols varchar[] or NULL for all, start, end timestamptz. Rides on <table>_symbol_time, or reads the whole table once.
SELECT symbol, time,
       format('open %%s, high %%s, low %%s, close %%s',
              trim_scale(open), trim_scale(high), trim_scale(low), trim_scale(close)) AS detail
FROM {table}
WHERE (%(symbols)s::varchar[] IS NULL OR symbol = ANY(%(symbols)s::varchar[])) AND time >= %(start)s AND time < %(end)s
  AND (low > open OR low > close OR high < open OR high < close OR low > high)
