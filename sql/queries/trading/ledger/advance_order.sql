-- Moves an order, locked before, to a status, with the broker's name for it where that is known now.
UPDATE trading.orders
SET status = %(status)s, broker_order_id = COALESCE(%(broker_order_id)s, broker_order_id)
WHERE id = %(id)s
RETURNING *
