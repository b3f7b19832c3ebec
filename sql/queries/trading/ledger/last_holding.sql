-- The position after the last fill. Uses the primary key.
SELECT quantity, cost, realized_pnl, opened_at
FROM trading.position_history
WHERE symbol = %(symbol)s
ORDER BY executed_at DESC, trade_id DESC
LIMIT 1
