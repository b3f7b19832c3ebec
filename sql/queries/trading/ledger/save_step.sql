-- Saves the position after a fill; a late report of an earlier fill changes it. Conflicts on the primary key.
INSERT INTO trading.position_history (symbol, executed_at, trade_id, quantity, cost, realized_pnl, opened_at)
VALUES (%(symbol)s, %(executed_at)s, %(trade_id)s, %(quantity)s, %(cost)s, %(realized_pnl)s, %(opened_at)s)
ON CONFLICT (symbol, executed_at, trade_id)
DO UPDATE SET quantity = EXCLUDED.quantity, cost = EXCLUDED.cost, realized_pnl = EXCLUDED.realized_pnl,
              opened_at = EXCLUDED.opened_at
