-- The orders that were open at a time, in the state that was recorded last by then, with their present status.
-- By orders_symbol_created_at where a symbol is given, and recorded_orders_order_id.
SELECT placed.id, placed.symbol, placed.side::text AS side, placed.order_type::text AS order_type, placed.quantity,
    placed.price, placed.stop_price, placed.created_at, state.status::text AS status, state.filled_qty,
    placed.status::text AS status_now, placed.filled_qty AS filled_now
FROM trading.orders AS placed
CROSS JOIN LATERAL (
    SELECT status, filled_qty FROM trading.recorded_orders
    WHERE order_id = placed.id AND recorded_at <= %(time)s
    ORDER BY id DESC
    LIMIT 1
) AS state
WHERE (%(symbol)s::text IS NULL OR placed.symbol = %(symbol)s)
  AND placed.created_at <= %(time)s
  AND (placed.status IN ('pending', 'sent', 'partial') OR placed.updated_at > %(time)s)
  AND state.status IN ('pending', 'sent', 'partial')
ORDER BY placed.created_at, placed.id
