-- Numbers committed messages without a number, from the highest existing number on. Uses outbox_unpublished.
WITH fresh AS (
    SELECT id, row_number() OVER (ORDER BY id) AS place
    FROM trading.outbox
    WHERE published_at IS NULL AND seq IS NULL
)
UPDATE trading.outbox AS numbered
SET seq = (SELECT COALESCE(max(seq), 0) FROM trading.outbox) + fresh.place
FROM fresh
WHERE numbered.id = fresh.id
