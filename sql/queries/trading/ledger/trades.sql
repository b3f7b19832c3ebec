-- Fills in the order of execution: by trades_order_id or trades_symbol_executed_at.
SELECT * FROM trading.trades
WHERE (%(order_id)s::uuid IS NULL OR order_id = %(order_id)s)
  AND (%(symbol)s::text IS NULL OR symbol = %(symbol)s)
ORDER BY executed_at, id
