-- For which time the sources need not be asked again, whether the answer is still held or not; what is not believed
-- yet is asked again by its repair. One row an interval.
-- Parameters: symbol, timeframe text. Rides on the primary key.
SELECT source, lower(span), upper(span)
FROM market_data.coverage, unnest(answered + expired + pending_confirmation) AS span
WHERE symbol = %(symbol)s AND timeframe = %(timeframe)s
ORDER BY source, 2
