-- Adds a message about an order, in the transaction of the change.
INSERT INTO trading.outbox (order_id, payload) VALUES (%(order_id)s, %(payload)s)
