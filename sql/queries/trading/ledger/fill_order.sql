-- Updates a locked order from its fills.
UPDATE trading.orders
SET status = %(status)s, filled_qty = %(filled_qty)s, avg_fill_price = %(avg_fill_price)s,
    commission = %(commission)s, filled_at = %(filled_at)s, broker_order_id = %(broker_order_id)s
WHERE id = %(id)s
RETURNING *
