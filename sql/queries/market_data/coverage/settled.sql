-- The time for which each source needs no further request by a backfill, whether the bars are still held or not; repairs
-- confirm what is pending. One row per interval.
-- Parameters: symbol, timeframe text. Uses the primary key.
SELECT source, lower(span), upper(span)
FROM market_data.coverage, unnest(answered + expired + pending_confirmation) AS span
WHERE symbol = %(symbol)s AND timeframe = %(timeframe)s
ORDER BY source, 2
