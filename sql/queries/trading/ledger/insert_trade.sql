-- Inserts a fill unless it exists; waits for a concurrent insert of it. Conflicts on the primary key.
INSERT INTO trading.trades (id, order_id, symbol, side, quantity, price, commission, executed_at, broker)
VALUES (%(id)s, %(order_id)s, %(symbol)s, %(side)s, %(quantity)s, %(price)s, %(commission)s, %(executed_at)s, %(broker)s)
ON CONFLICT (id) DO NOTHING
RETURNING id
