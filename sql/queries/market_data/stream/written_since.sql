-- The minute bars that streams have written since a version: one row per symbol and day, the oldest version first.
-- Parameters: after bigint, rows integer. Uses the primary key.
SELECT id, symbol, lower(asked), upper(asked), stored
FROM market_data.coverage_requests
WHERE id > %(after)s AND origin = 'stream' AND timeframe = '1m' AND changed
ORDER BY id
LIMIT %(rows)s
