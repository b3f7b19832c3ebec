-- Numbers what has been committed and has no number, going on from the highest there is: by outbox_unpublished.
WITH fresh AS (
    SELECT id, row_number() OVER (ORDER BY id) AS place
    FROM trading.outbox
    WHERE published_at IS NULL AND seq IS NULL
)
UPDATE trading.outbox AS told
SET seq = (SELECT COALESCE(max(seq), 0) FROM trading.outbox) + fresh.place
FROM fresh
WHERE told.id = fresh.id
