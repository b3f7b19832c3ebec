-- Exact totals of an order's fills. Uses trades_order_id.
SELECT COALESCE(sum(quantity), 0), COALESCE(sum(quantity * price), 0), COALESCE(sum(commission), 0), max(executed_at)
FROM trading.trades
WHERE order_id = %(order_id)s
