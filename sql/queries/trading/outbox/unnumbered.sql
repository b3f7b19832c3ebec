-- Committed messages without a number and without a known fault, in the order of their ids, as text: a value that
-- cannot be parsed must not stop the others. Uses outbox_unpublished.
SELECT id, created_at, payload::text
FROM trading.outbox
WHERE published_at IS NULL AND seq IS NULL AND fault IS NULL
ORDER BY id
LIMIT %(limit)s
