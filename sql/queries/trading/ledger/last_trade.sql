-- The last fill of a symbol that counts, another one than this: by trades_symbol_executed_at.
SELECT * FROM trading.trades
WHERE symbol = %(symbol)s AND (%(id)s::uuid IS NULL OR id <> %(id)s)
ORDER BY executed_at DESC, id DESC
LIMIT 1
