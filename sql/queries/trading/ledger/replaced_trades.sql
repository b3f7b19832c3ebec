-- Reports that do not count, in the order of execution: by replaced_trades_order_id or
-- replaced_trades_symbol_executed_at.
SELECT * FROM trading.replaced_trades
WHERE (%(order_id)s::uuid IS NULL OR order_id = %(order_id)s)
  AND (%(symbol)s::text IS NULL OR symbol = %(symbol)s)
ORDER BY executed_at, broker_fill_id
