-- The input versions of the partitions of a dataset.
-- Parameters: dataset text, symbols text[]. Uses the primary key.
SELECT symbol, partition_start, input_version, code_version, splits
FROM market_data.input_versions
WHERE dataset = %(dataset)s AND symbol = ANY(%(symbols)s)
