-- Saves the position of a stream; an equal position is not written. Returns a row if the position changed.
-- Parameters: stream text, position jsonb, until, updated_at timestamptz. Conflicts on the primary key.
INSERT INTO market_data.stream_positions AS known (stream, position, until, updated_at)
VALUES (%(stream)s, %(position)s::jsonb, %(until)s, %(updated_at)s)
ON CONFLICT (stream)
DO UPDATE SET position = EXCLUDED.position, until = EXCLUDED.until, updated_at = EXCLUDED.updated_at
WHERE (known.position, known.until) IS DISTINCT FROM (EXCLUDED.position, EXCLUDED.until)
RETURNING TRUE
