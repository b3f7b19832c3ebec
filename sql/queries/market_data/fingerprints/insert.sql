-- Adds the bars in a window of one symbol to the fingerprints of their periods.
-- Parameters: symbol, timeframe text, start, end timestamptz. Uses <table>_symbol_time; conflicts on the primary key.
INSERT INTO market_data.fingerprints AS known (symbol, timeframe, period_start, bar_count, checksum)
SELECT %(symbol)s::varchar, %(timeframe)s::text,
       date_bin(market_data.fingerprint_period(%(timeframe)s::text), time, timestamptz '1970-01-01 00:00:00+00'),
       count(*), sum(market_data.bar_weight(time, open, high, low, close, volume))
FROM {table}
WHERE symbol = %(symbol)s::varchar AND time >= %(start)s::timestamptz AND time < %(end)s::timestamptz
GROUP BY 3
ON CONFLICT (symbol, timeframe, period_start)
DO UPDATE SET bar_count = known.bar_count + EXCLUDED.bar_count, checksum = known.checksum + EXCLUDED.checksum
