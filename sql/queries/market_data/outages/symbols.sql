-- Whose outages these are.
-- Parameters: ids bigint[]. Rides on the primary key.
SELECT id, symbol FROM market_data.outages WHERE id = ANY(%(ids)s)
