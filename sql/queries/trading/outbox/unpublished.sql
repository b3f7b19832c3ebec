-- Numbered messages that are not published yet. Uses the unique index of seq.
SELECT seq, created_at, payload
FROM trading.outbox
WHERE published_at IS NULL AND seq IS NOT NULL
ORDER BY seq
LIMIT %(limit)s
