-- What is to be told of an order, in the transaction that makes it true.
INSERT INTO trading.outbox (order_id, payload) VALUES (%(order_id)s, %(payload)s)
