-- Takes a fill out of those that count, by primary key, with the position after it; it is in trading.replaced_trades.
DELETE FROM trading.trades WHERE id = %(id)s
