-- Changes the status of a locked order, and sets the broker's id of it if given.
UPDATE trading.orders
SET status = %(status)s, broker_order_id = COALESCE(%(broker_order_id)s, broker_order_id)
WHERE id = %(id)s
RETURNING *
