-- The stored position of a stream.
-- Parameters: stream text. Uses the primary key.
SELECT position, until FROM market_data.stream_positions WHERE stream = %(stream)s
