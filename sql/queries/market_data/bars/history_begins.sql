-- The open of the first of the last count bars before a timestamp: the history that a partition loads; NULL without bars.
-- Parameters: symbols text[], timestamps timestamptz[] and counts integer[], side by side. The placeholder table is the table of the timeframe.
-- Uses <table>_symbol_time, one lookup each.
SELECT wanted.symbol, wanted.until, wanted.count, (
    SELECT min(before.time) FROM (
        SELECT bar.time FROM {table} AS bar
        WHERE bar.symbol = wanted.symbol AND bar.time < wanted.until
        ORDER BY bar.time DESC LIMIT wanted.count
    ) AS before
)
FROM unnest(%(symbols)s::varchar[], %(timestamps)s::timestamptz[], %(counts)s::integer[]) AS wanted (symbol, until, count)
