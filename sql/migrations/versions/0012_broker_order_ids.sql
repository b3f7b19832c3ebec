-- A broker's id belongs to one order. Orders that share one from before keep it: of each such group the first is in
-- the index, so that no further order can take the id, and the others are left out of it by their ids.

DO $$
DECLARE
    later uuid[];
BEGIN
    LOCK TABLE trading.orders IN SHARE MODE;
    SELECT array_agg(id ORDER BY id) INTO later
    FROM (
        SELECT id, row_number() OVER (PARTITION BY broker, broker_order_id ORDER BY created_at, id) AS place
        FROM trading.orders
        WHERE broker_order_id IS NOT NULL
    ) AS numbered
    WHERE place > 1;
    EXECUTE 'CREATE UNIQUE INDEX orders_one_per_broker_order_id ON trading.orders (broker, broker_order_id)'
        || CASE WHEN later IS NULL THEN '' ELSE format(' WHERE id <> ALL (%L::uuid[])', later) END;
END;
$$;
