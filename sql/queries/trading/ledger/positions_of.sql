-- Positions of these symbols, or all.
SELECT * FROM trading.positions
WHERE %(symbols)s::text[] IS NULL OR symbol = ANY(%(symbols)s)
ORDER BY symbol
