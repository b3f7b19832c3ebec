-- Reports with these ids, whether they count or not, by the primary keys of both tables.
SELECT id, order_id, symbol, side, quantity, price, commission, executed_at, broker, TRUE AS counts,
    NULL AS replaced_by
FROM trading.trades
WHERE id = ANY(%(ids)s)
UNION ALL
SELECT id, order_id, symbol, side, quantity, price, commission, executed_at, broker, FALSE, replaced_by
FROM trading.replaced_trades
WHERE id = ANY(%(ids)s)
