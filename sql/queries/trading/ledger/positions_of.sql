-- Positions of these symbols, or all. A position of before the migration 0013 whose time no client can read is left
-- out, so that the others are synced; `doctor` names the table.
SELECT * FROM trading.positions
WHERE (%(symbols)s::text[] IS NULL OR symbol = ANY(%(symbols)s))
  AND (opened_at IS NULL OR opened_at >= '0001-01-01 00:00:00+00' AND opened_at < '10000-01-01 00:00:00+00')
ORDER BY symbol
