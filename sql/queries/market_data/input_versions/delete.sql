-- Deletes the input versions of some partitions of a dataset, so that they are recomputed.
-- Parameters: dataset, symbol text, starts timestamptz[]. Uses the primary key.
DELETE FROM market_data.input_versions
WHERE dataset = %(dataset)s AND symbol = %(symbol)s AND partition_start = ANY(%(starts)s)
