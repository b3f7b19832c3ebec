-- Where the last so many bars before a moment begin: what a partition loads before its first bar; NULL where there are none.
-- Parameters: symbols text[], moments timestamptz[] and counts integer[], side by side. The placeholder table is the table of the timeframe.
-- Rides on <table>_symbol_time, one descent each.
SELECT asked.symbol, asked.moment, asked.count, (
    SELECT min(before.time) FROM (
        SELECT bar.time FROM {table} AS bar
        WHERE bar.symbol = asked.symbol AND bar.time < asked.moment
        ORDER BY bar.time DESC LIMIT asked.count
    ) AS before
)
FROM unnest(%(symbols)s::varchar[], %(timestamps)s::timestamptz[], %(counts)s::integer[]) AS asked (symbol, moment, count)
