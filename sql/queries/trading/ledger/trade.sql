-- One fill, by primary key.
SELECT * FROM trading.trades WHERE id = %(id)s
