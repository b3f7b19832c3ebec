-- Daily bars of shares and funds that opened at two thirds of the close before or less, or at half as much again or
-- more, without a split on that date that explains it.
-- Parameters: symbols varchar[] or NULL for all, start, end timestamptz. Uses bars_1d_symbol_time, one lookup per marked bar.
SELECT bar.symbol, bar.time,
       format('opened at %%s after a close of %%s: %%s %%%%', trim_scale(bar.open), trim_scale(before.close),
              round(100 * (bar.open / before.close - 1))) AS detail
FROM market_data.bars_1d AS bar
JOIN config.instruments AS instrument ON instrument.symbol = bar.symbol AND instrument.asset_class IN ('equity', 'etf')
CROSS JOIN LATERAL (
    SELECT earlier.close FROM market_data.bars_1d AS earlier
    WHERE earlier.symbol = bar.symbol AND earlier.time < bar.time
    ORDER BY earlier.time DESC LIMIT 1
) AS before
LEFT JOIN market_data.corporate_actions AS split
    ON split.symbol = bar.symbol AND split.ex_date = bar.time AND split.kind = 'split'
WHERE (%(symbols)s::varchar[] IS NULL OR bar.symbol = ANY(%(symbols)s::varchar[]))
  AND bar.time >= %(start)s AND bar.time < %(end)s
  AND bar.quality = 'review'
  AND abs(ln(bar.open / before.close * coalesce(split.new_shares::numeric / split.old_shares, 1))) >= ln(1.5)
