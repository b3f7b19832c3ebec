-- Updates a locked position.
UPDATE trading.positions
SET quantity = %(quantity)s, avg_entry_price = %(avg_entry_price)s, current_price = %(current_price)s,
    unrealized_pnl = %(unrealized_pnl)s, realized_pnl = %(realized_pnl)s, opened_at = %(opened_at)s
WHERE symbol = %(symbol)s
RETURNING *
