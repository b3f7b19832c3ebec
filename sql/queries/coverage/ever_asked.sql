-- The symbols of the universe of which anybody was ever asked anything.
-- Rides on coverage_requests_symbol_timeframe, one descent a symbol.
SELECT symbol FROM config.instruments AS known
WHERE EXISTS (SELECT FROM market_data.coverage_requests AS request WHERE request.symbol = known.symbol)
