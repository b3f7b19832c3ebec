-- Notes how far a stream is stored; an equal position is not written again. Says whether it was another.
-- Parameters: stream text, position jsonb, until, updated_at timestamptz. Conflicts on the primary key.
INSERT INTO market_data.stream_positions AS known (stream, position, until, updated_at)
VALUES (%(stream)s, %(position)s::jsonb, %(until)s, %(updated_at)s)
ON CONFLICT (stream)
DO UPDATE SET position = EXCLUDED.position, until = EXCLUDED.until, updated_at = EXCLUDED.updated_at
WHERE (known.position, known.until) IS DISTINCT FROM (EXCLUDED.position, EXCLUDED.until)
RETURNING TRUE
