-- Makes the partitions that hold some moments, where they are missing.
-- Parameters: table text, starts timestamptz[].
SELECT market_data.make_partitions(%(table)s, %(starts)s::timestamptz[])
