-- Orders, newest first: by orders_symbol_created_at, orders_strategy_id_created_at or orders_status,
-- whichever the conditions allow.
SELECT * FROM trading.orders
WHERE (%(symbol)s::text IS NULL OR symbol = %(symbol)s)
  AND (%(status)s::text IS NULL OR status = %(status)s::text::trading.order_status)
  AND (%(strategy_id)s::text IS NULL OR strategy_id = %(strategy_id)s)
ORDER BY created_at DESC, id
LIMIT %(limit)s
