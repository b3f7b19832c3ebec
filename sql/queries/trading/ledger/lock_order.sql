-- One order by primary key, locked against changes; rows that refer to it may still be written.
SELECT * FROM trading.orders WHERE id = %(id)s FOR NO KEY UPDATE
