-- What has a number and was not told yet: by the unique index of seq.
SELECT seq, created_at, payload
FROM trading.outbox
WHERE published_at IS NULL AND seq IS NOT NULL
ORDER BY seq
LIMIT %(limit)s
