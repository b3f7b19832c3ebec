-- When the partitions of a dataset were last computed.
-- Parameters: dataset text, symbols text[]. Uses the primary key.
SELECT symbol, partition_start, computed_at
FROM market_data.input_versions
WHERE dataset = %(dataset)s AND symbol = ANY(%(symbols)s)
