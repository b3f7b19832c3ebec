-- Splits that the daily bars do not show: from the close before to the first open after, the price change is closer to
-- none than to the ratio. Such bars are adjusted already, or the split did not take place. Small ratios are not checked:
-- ordinary price changes are as large.
-- Parameters: symbols varchar[] or NULL for all, start, end timestamptz. Uses bars_1d_symbol_time, two lookups per split.
SELECT action.symbol, action.ex_date AS time,
       format('%%s:%%s, but from a close of %%s on %%s to an open of %%s on %%s', action.new_shares, action.old_shares,
              trim_scale(before.close), before.time::date, trim_scale(after.open), after.time::date) AS detail
FROM market_data.corporate_actions AS action
CROSS JOIN LATERAL (
    SELECT bar.time, bar.close FROM market_data.bars_1d AS bar
    WHERE bar.symbol = action.symbol AND bar.time < action.ex_date AND bar.time >= action.ex_date - INTERVAL '14 days'
    ORDER BY bar.time DESC LIMIT 1
) AS before
CROSS JOIN LATERAL (
    SELECT bar.time, bar.open FROM market_data.bars_1d AS bar
    WHERE bar.symbol = action.symbol AND bar.time >= action.ex_date AND bar.time < action.ex_date + INTERVAL '14 days'
    ORDER BY bar.time LIMIT 1
) AS after
WHERE action.kind = 'split'
  AND (%(symbols)s::varchar[] IS NULL OR action.symbol = ANY(%(symbols)s::varchar[]))
  AND action.ex_date >= %(start)s AND action.ex_date < %(end)s
  AND abs(ln(action.new_shares::numeric / action.old_shares)) > ln(1.25)
  AND abs(ln(before.close / after.open) - ln(action.new_shares::numeric / action.old_shares))
      > abs(ln(before.close / after.open))
