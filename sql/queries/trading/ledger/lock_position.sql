-- One position by primary key, locked against changes.
SELECT * FROM trading.positions WHERE symbol = %(symbol)s FOR NO KEY UPDATE
