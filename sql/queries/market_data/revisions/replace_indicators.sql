-- Deletes indicators of some symbols, and keeps those that differ as revisions.
-- Parameters: symbol text[], times timestamptz[], differs boolean[], side by side; first, last timestamptz (the span of
-- times), replaced_at timestamptz; the placeholder columns are all columns but recorded_at. Uses the primary key.
WITH replaced AS (
    DELETE FROM {table} AS stored
    USING unnest(%(symbol)s::text[], %(times)s::timestamptz[], %(differs)s::boolean[]) AS wanted (name, at, differs)
    WHERE stored.symbol = wanted.name AND stored.time = wanted.at
      AND stored.symbol = ANY(%(symbol)s::text[]) AND stored.time >= %(first)s AND stored.time <= %(last)s
    RETURNING stored.*, wanted.differs
)
INSERT INTO market_data.indicator_revisions ({columns}, recorded_at, replaced_at)
SELECT {columns}, recorded_at, %(replaced_at)s::timestamptz FROM replaced WHERE differs
