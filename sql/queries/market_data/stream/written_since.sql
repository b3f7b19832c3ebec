-- What streams have written of minute bars since a version, a row a symbol and day, the oldest version first.
-- Parameters: after bigint, rows integer. Rides on the primary key.
SELECT id, symbol, lower(asked), upper(asked), stored
FROM market_data.coverage_requests
WHERE id > %(after)s AND origin = 'stream' AND timeframe = '1m' AND changed
ORDER BY id
LIMIT %(rows)s
