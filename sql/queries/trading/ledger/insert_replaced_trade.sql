-- Inserts a report that does not count, unless it exists. Conflicts on the primary key.
INSERT INTO trading.replaced_trades
    (id, order_id, symbol, side, quantity, price, commission, executed_at, broker, broker_fill_id, replaced_by)
VALUES
    (%(id)s, %(order_id)s, %(symbol)s, %(side)s, %(quantity)s, %(price)s, %(commission)s, %(executed_at)s, %(broker)s,
     %(broker_fill_id)s, %(replaced_by)s)
ON CONFLICT (id) DO NOTHING
RETURNING id
