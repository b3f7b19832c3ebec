-- The symbols of the universe with the timeframes for which there is at least one request.
-- Uses coverage_requests_symbol_timeframe, one lookup per symbol and timeframe.
SELECT known.symbol, length
FROM config.instruments AS known CROSS JOIN unnest(%(timeframes)s::text[]) AS length
WHERE EXISTS (
    SELECT FROM market_data.coverage_requests AS request
    WHERE request.symbol = known.symbol AND request.timeframe = length)
