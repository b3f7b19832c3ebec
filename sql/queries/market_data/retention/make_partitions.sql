-- Creates the missing partitions that contain some timestamps.
-- Parameters: table text, starts timestamptz[].
SELECT market_data.make_partitions(%(table)s, %(starts)s::timestamptz[])
