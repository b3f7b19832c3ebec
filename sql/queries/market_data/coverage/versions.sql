-- The versions of the bars of each symbol: the last request that changed any, by the start of its window, and whether
-- a stream made it.
-- Parameters: symbols text[], timeframe text, rolled_up boolean: whether changes of rolled-up bars count. Uses coverage_requests_symbol_timeframe.
SELECT symbol, lower(asked), max(id), origin = 'stream'
FROM market_data.coverage_requests
WHERE symbol = ANY(%(symbols)s) AND timeframe = %(timeframe)s AND changed
  AND (%(rolled_up)s::boolean OR source <> 'ohlcv_1m')
GROUP BY symbol, lower(asked), origin = 'stream'
