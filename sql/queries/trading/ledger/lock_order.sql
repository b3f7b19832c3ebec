-- One order, by primary key, for nobody else to change; rows that refer to it may still be written.
SELECT * FROM trading.orders WHERE id = %(id)s FOR NO KEY UPDATE
