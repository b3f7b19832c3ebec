-- The versions of the bars of each symbol: the last request that changed any, by the start of its window.
-- Parameters: symbols text[], timeframe text. Uses coverage_requests_symbol_timeframe.
SELECT symbol, lower(asked), max(id)
FROM market_data.coverage_requests
WHERE symbol = ANY(%(symbols)s) AND timeframe = %(timeframe)s AND changed
GROUP BY symbol, lower(asked)
