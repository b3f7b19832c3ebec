-- Moves the rows of a month with given keys to audit.set_aside, and counts them.
-- Parameters: ids text[], times bigint[] (microseconds since 1970), first, after timestamptz, relation, reason text.
WITH gone AS (
    DELETE FROM {place} AS taken
    USING unnest(%(ids)s::text[], %(times)s::bigint[]) AS key (id, microseconds)
    WHERE taken."timestamp" >= %(first)s AND taken."timestamp" < %(after)s AND taken.id::text = key.id
      AND (extract(epoch FROM taken."timestamp") * 1000000)::bigint = key.microseconds
    RETURNING to_jsonb(taken)::text AS record
), kept AS (
    INSERT INTO audit.set_aside (relation, reason, record)
    SELECT %(relation)s::text, %(reason)s::text, record FROM gone RETURNING 1
)
SELECT count(*) FROM kept
