-- The positions as they were recorded last by a time, by recorded_positions_symbol.
SELECT known.symbol, state.quantity, state.avg_entry_price, state.realized_pnl
FROM trading.positions AS known
CROSS JOIN LATERAL (
    SELECT quantity, avg_entry_price, realized_pnl FROM trading.recorded_positions
    WHERE symbol = known.symbol AND recorded_at <= %(time)s
    ORDER BY id DESC
    LIMIT 1
) AS state
WHERE %(symbol)s::text IS NULL OR known.symbol = %(symbol)s
ORDER BY known.symbol
