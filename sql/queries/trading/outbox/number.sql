-- Numbers committed messages without a number, from the highest existing number on, in the order of their ids.
-- Parameters: ids bigint[].
UPDATE trading.outbox AS numbered
SET seq = (SELECT COALESCE(max(seq), 0) FROM trading.outbox) + fresh.place
FROM unnest(%(ids)s::bigint[]) WITH ORDINALITY AS fresh (id, place)
WHERE numbered.id = fresh.id AND numbered.seq IS NULL
