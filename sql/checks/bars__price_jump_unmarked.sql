-- Bars that opened further than the limit from the close before them and are not marked for review. As in the marking,
-- only traded bars are checked: carried prices and repaired bars have a quality of their own.
-- Parameters: symbols varchar[] or NULL for all, start, end timestamptz, share numeric. Uses <table>_symbol_time; the close before
-- the first bar of the window costs one lookup per symbol.
SELECT symbol, time,
       format('opened at %%s after a close of %%s', trim_scale(open), trim_scale(before)) AS detail
FROM (
    SELECT symbol, time, open, quality,
           coalesce(
               lag(close) OVER (PARTITION BY symbol ORDER BY time),
               (SELECT earlier.close FROM {table} AS earlier
                WHERE earlier.symbol = bar.symbol AND earlier.time < bar.time
                ORDER BY earlier.time DESC LIMIT 1)
           ) AS before
    FROM {table} AS bar
    WHERE (%(symbols)s::varchar[] IS NULL OR symbol = ANY(%(symbols)s::varchar[])) AND time >= %(start)s AND time < %(end)s
) AS judged
WHERE abs(open - before) > before * %(share)s AND quality = 'traded'
