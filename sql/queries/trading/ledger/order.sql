-- One order, by primary key.
SELECT * FROM trading.orders WHERE id = %(id)s
