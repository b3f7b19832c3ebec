-- Inserts an order unless its id exists. Conflicts on the primary key.
INSERT INTO trading.orders (id, symbol, side, order_type, quantity, price, stop_price, broker, strategy_id)
VALUES
    (%(id)s, %(symbol)s, %(side)s, %(order_type)s, %(quantity)s, %(price)s, %(stop_price)s, %(broker)s, %(strategy_id)s)
ON CONFLICT (id) DO NOTHING
RETURNING *
