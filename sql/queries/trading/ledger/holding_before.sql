-- The position before a fill: the last step before it. Uses the primary key.
SELECT quantity, cost, realized_pnl, opened_at
FROM trading.position_history
WHERE symbol = %(symbol)s AND (executed_at, trade_id) < (%(executed_at)s, %(id)s::uuid)
ORDER BY executed_at DESC, trade_id DESC
LIMIT 1
