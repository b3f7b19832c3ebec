-- One position, by primary key, for nobody else to change.
SELECT * FROM trading.positions WHERE symbol = %(symbol)s FOR NO KEY UPDATE
