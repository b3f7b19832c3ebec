-- How far the live streams of a source are stored: that of all its symbols, and those of a part of them.
-- Parameters: source text. Few rows: a table scan.
SELECT stream, position, until FROM market_data.stream_positions
WHERE stream = %(source)s OR starts_with(stream, %(source)s || ' ')
ORDER BY stream
