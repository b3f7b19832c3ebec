-- Forgets gaps that are no more.
-- Parameters: ids bigint[]. Rides on the primary key.
DELETE FROM market_data.gaps WHERE id = ANY(%(ids)s)
