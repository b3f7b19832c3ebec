-- The times of rejected bars of some symbols in a window. A row without record stands for row_count bars one after the
-- other, from its time on.
-- Parameters: symbols text[], timeframe text, step interval, start, end timestamptz. Uses quarantine_symbol_timeframe.
SELECT symbol, time FROM market_data.quarantine
WHERE symbol = ANY(%(symbols)s) AND timeframe = %(timeframe)s AND time >= %(start)s AND time < %(end)s
UNION
SELECT symbol, run.time + number * %(step)s::interval
FROM market_data.quarantine AS run,
     LATERAL generate_series(
         greatest(1, ceil(extract(epoch FROM %(start)s - run.time) / extract(epoch FROM %(step)s::interval)))::bigint,
         least(run.row_count - 1,
               ceil(extract(epoch FROM %(end)s - run.time) / extract(epoch FROM %(step)s::interval))::bigint - 1)
     ) AS number
WHERE symbol = ANY(%(symbols)s) AND timeframe = %(timeframe)s AND run.time < %(end)s
  AND run.record IS NULL AND run.row_count > 1
ORDER BY symbol, time
