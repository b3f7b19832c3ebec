-- A fill and those executed after it, of its symbol: by trades_symbol_executed_at.
SELECT * FROM trading.trades
WHERE symbol = %(symbol)s AND (executed_at, id) >= (%(executed_at)s, %(id)s::uuid)
ORDER BY executed_at, id
