-- The first quarantined rows of some origins, in the order of their files and lines.
-- Parameters: origins text[], limit integer.
SELECT origin, line, reason, detail, record
FROM market_data.quarantine
WHERE origin = ANY(%(origins)s::text[])
ORDER BY array_position(%(origins)s::text[], origin::text), line NULLS FIRST, id
LIMIT %(limit)s
