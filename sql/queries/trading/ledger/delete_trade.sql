-- Takes a fill out of those that count, by primary key, with the position after it; it is in trading.replaced_trades.
SELECT trading.remove_replaced_trade(%(id)s)
