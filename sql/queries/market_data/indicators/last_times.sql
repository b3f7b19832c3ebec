-- When the last indicators of each symbol are, at or after a moment; symbols without any there give no row.
-- Parameters: symbols text[], since timestamptz. Rides on <table>_symbol_time, one descent a symbol.
SELECT name, last.time
FROM unnest(%(symbols)s::text[]) AS name
CROSS JOIN LATERAL (
    SELECT time FROM {table} WHERE symbol = name AND time >= %(since)s ORDER BY time DESC LIMIT 1
) AS last
