-- The symbols of the universe with the timeframes whose history was requested: for which there is a request that begins
-- before the first day of which a stream has stored minutes. What a stream stores itself, and what is requested to
-- repair its outages, begins on that day at the earliest and is no request for history.
-- Parameters: timeframes text[]. Uses coverage_requests_symbol_timeframe per symbol and timeframe, and
-- coverage_requests_stream per symbol.
SELECT known.symbol, length
FROM config.instruments AS known CROSS JOIN unnest(%(timeframes)s::text[]) AS length
CROSS JOIN LATERAL (
    SELECT coalesce(min(lower(request.asked)), 'infinity') AS first_day FROM market_data.coverage_requests AS request
    WHERE request.symbol = known.symbol AND request.timeframe = '1m' AND request.origin = 'stream') AS streamed
WHERE EXISTS (
    SELECT FROM market_data.coverage_requests AS request
    WHERE request.symbol = known.symbol AND request.timeframe = length AND request.origin <> 'stream'
      AND lower(request.asked) < streamed.first_day)
