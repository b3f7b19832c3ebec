-- Deletes indicators of some symbols, and keeps them as revisions.
-- Parameters: symbols text[], times timestamptz[], side by side; first, last timestamptz (the span of times),
-- replaced_at timestamptz; the placeholder columns are all columns but recorded_at. Uses the primary key.
WITH replaced AS (
    DELETE FROM {table} AS stored
    USING unnest(%(symbols)s::text[], %(times)s::timestamptz[]) AS wanted (symbol, time)
    WHERE stored.symbol = wanted.symbol AND stored.time = wanted.time
      AND stored.symbol = ANY(%(symbols)s::text[]) AND stored.time >= %(first)s AND stored.time <= %(last)s
    RETURNING stored.*
)
INSERT INTO market_data.indicator_revisions ({columns}, recorded_at, replaced_at)
SELECT {columns}, recorded_at, %(replaced_at)s::timestamptz FROM replaced
