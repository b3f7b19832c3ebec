-- The symbols of some outages.
-- Parameters: ids bigint[]. Uses the primary key.
SELECT id, symbol FROM market_data.outages WHERE id = ANY(%(ids)s)
