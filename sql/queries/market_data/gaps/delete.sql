-- Deletes gaps that no longer exist.
-- Parameters: ids bigint[]. Uses the primary key.
DELETE FROM market_data.gaps WHERE id = ANY(%(ids)s)
