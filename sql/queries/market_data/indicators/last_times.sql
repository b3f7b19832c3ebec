-- The time of the last indicators of each symbol at or after a timestamp; symbols without any give no row.
-- Parameters: symbols text[], since timestamptz. Uses <table>_symbol_time, one lookup per symbol.
SELECT name, last.time
FROM unnest(%(symbols)s::text[]) AS name
CROSS JOIN LATERAL (
    SELECT time FROM {table} WHERE symbol = name AND time >= %(since)s ORDER BY time DESC LIMIT 1
) AS last
