-- Actions with invalid terms: a ratio or amount not above zero, or a dividend of at least the whole close before it.
-- Parameters: symbols varchar[] or NULL for all, start, end timestamptz. Uses bars_1d_symbol_time, one lookup per dividend.
SELECT action.symbol, action.ex_date AS time,
       CASE WHEN action.kind = 'split' THEN format('a split of %%s:%%s', action.new_shares, action.old_shares)
            ELSE format('a dividend of %%s after a close of %%s', trim_scale(action.amount), trim_scale(coalesce(before.close, action.close_before))) END AS detail
FROM market_data.corporate_actions AS action
LEFT JOIN LATERAL (
    SELECT bar.close FROM market_data.bars_1d AS bar
    WHERE bar.symbol = action.symbol AND bar.time < action.ex_date AND bar.time >= action.ex_date - INTERVAL '14 days'
    ORDER BY bar.time DESC LIMIT 1
) AS before ON action.kind = 'dividend'
WHERE (%(symbols)s::varchar[] IS NULL OR action.symbol = ANY(%(symbols)s::varchar[]))
  AND action.ex_date >= %(start)s AND action.ex_date < %(end)s
  AND CASE WHEN action.kind = 'split' THEN (action.new_shares > 0 AND action.old_shares > 0) IS NOT TRUE
           ELSE (action.amount > 0) IS NOT TRUE OR action.amount >= coalesce(before.close, action.close_before) END
