-- Forgets from what some partitions of a dataset were computed, so that they are computed again.
-- Parameters: dataset, symbol text, starts timestamptz[]. Rides on the primary key.
DELETE FROM market_data.input_versions
WHERE dataset = %(dataset)s AND symbol = %(symbol)s AND partition_start = ANY(%(starts)s)
