-- What stands against a new order; the same function rejects it when it is placed.
SELECT rule, message, expected, received
FROM trading.order_faults(
    %(symbol)s, %(side)s::text::trading.order_side, %(quantity)s, %(price)s, %(stop_price)s, %(strategy_id)s)
