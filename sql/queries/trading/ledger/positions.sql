-- Positions by symbol: of one by the primary key, all, or those that are open.
SELECT * FROM trading.positions
WHERE (%(symbol)s::text IS NULL OR symbol = %(symbol)s)
  AND (NOT %(open_only)s OR quantity <> 0)
ORDER BY symbol
