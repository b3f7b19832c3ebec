-- How far a stream is stored.
-- Parameters: stream text. Rides on the primary key.
SELECT position, until FROM market_data.stream_positions WHERE stream = %(stream)s
