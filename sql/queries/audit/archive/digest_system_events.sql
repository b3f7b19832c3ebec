-- Manifest of a month in a relation: rows, first and last time, lowest and highest id, and the sums of the two halves
-- of each row's digest. stores/audit/archive_manifest.py computes the same digest from the rows of a file.
SELECT count(*), min("timestamp"), max("timestamp"), min(id), max(id),
       COALESCE(sum(('x' || left(digest, 16))::bit(64)::bigint), 0),
       COALESCE(sum(('x' || substr(digest, 17, 16))::bit(64)::bigint), 0)
FROM (
    SELECT "timestamp", id, encode(sha256(convert_to(
        COALESCE(char_length(id::text) || ':' || id, '-')
        || COALESCE(char_length(microseconds) || ':' || microseconds, '-')
        || COALESCE(char_length(event_type) || ':' || event_type, '-')
        || COALESCE(char_length(severity) || ':' || severity, '-')
        || COALESCE(char_length(component) || ':' || component, '-')
        || COALESCE(char_length(message) || ':' || message, '-')
        || COALESCE(char_length(metadata) || ':' || metadata, '-'), 'UTF8')), 'hex') AS digest
    FROM (
        SELECT id, "timestamp",
               ((extract(epoch FROM "timestamp") * 1000000)::bigint)::text AS microseconds,
               event_type, severity::text AS severity, component, message, metadata::text AS metadata
        FROM {place}
        WHERE "timestamp" >= %(first)s AND "timestamp" < %(after)s
    ) AS texts
) AS digests
