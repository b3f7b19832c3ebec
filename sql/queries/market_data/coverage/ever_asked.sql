-- The symbols of the universe, and for which timeframes anybody was ever asked anything of them.
-- Rides on coverage_requests_symbol_timeframe, one descent a symbol and timeframe.
SELECT known.symbol, length
FROM config.instruments AS known CROSS JOIN unnest(%(timeframes)s::text[]) AS length
WHERE EXISTS (
    SELECT FROM market_data.coverage_requests AS request
    WHERE request.symbol = known.symbol AND request.timeframe = length)
