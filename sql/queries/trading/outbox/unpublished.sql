-- Numbered messages that are not published yet, their content as text. Uses the unique index of seq.
SELECT id, seq, created_at, payload::text AS payload
FROM trading.outbox
WHERE published_at IS NULL AND seq IS NOT NULL
ORDER BY seq
LIMIT %(limit)s
