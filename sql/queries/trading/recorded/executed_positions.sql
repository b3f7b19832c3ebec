-- The positions after the last fill that was executed by a time, as far as the fills are known now: by the primary key.
SELECT known.symbol, state.quantity,
    CASE WHEN state.quantity <> 0 THEN round(state.cost / state.quantity, 8) END AS avg_entry_price,
    round(state.realized_pnl, 8) AS realized_pnl
FROM trading.positions AS known
CROSS JOIN LATERAL (
    SELECT quantity, cost, realized_pnl FROM trading.position_history
    WHERE symbol = known.symbol AND executed_at <= %(time)s
    ORDER BY executed_at DESC, trade_id DESC
    LIMIT 1
) AS state
WHERE %(symbol)s::text IS NULL OR known.symbol = %(symbol)s
ORDER BY known.symbol
