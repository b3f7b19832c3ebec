-- Bars marked for review, with the close before them: for manual review, unless a split on their day explains the move up
-- to the given share.
-- Parameters: symbols varchar[] or NULL for all, start, end timestamptz, share numeric. Uses <table>_symbol_time and the
-- primary key of market_data.corporate_actions, one lookup per marked bar.
SELECT bar.symbol, bar.time,
       format('opened at %%s after a close of %%s', trim_scale(bar.open), trim_scale(before.close)) AS detail
FROM {table} AS bar
LEFT JOIN LATERAL (
    SELECT earlier.close FROM {table} AS earlier
    WHERE earlier.symbol = bar.symbol AND earlier.time < bar.time
    ORDER BY earlier.time DESC LIMIT 1
) AS before ON TRUE
WHERE (%(symbols)s::varchar[] IS NULL OR bar.symbol = ANY(%(symbols)s::varchar[]))
  AND bar.time >= %(start)s AND bar.time < %(end)s
  AND bar.quality = 'review'
  AND NOT EXISTS (
      SELECT FROM market_data.corporate_actions AS split
      WHERE split.symbol = bar.symbol AND split.kind = 'split' AND split.ex_date = date_trunc('day', bar.time, 'UTC')
        AND abs(bar.open * split.new_shares / split.old_shares - before.close) <= before.close * %(share)s
  )
