-- The stored positions of the live streams of a source: the stream of all its symbols and those of shards.
-- Parameters: source text. Few rows: a table scan.
SELECT stream, position, until FROM market_data.stream_positions
WHERE stream = %(source)s OR starts_with(stream, %(source)s || ' ')
ORDER BY stream
