-- What the system events say is wrong: incidents without an end, and errors of the last minutes that have none. What
-- began with severity `info` is worth knowing afterwards, and nothing is wrong. Errors of one kind that name a symbol or
-- source are one problem of it, whatever numbers their words have.
-- Parameters: now timestamptz, former and recent interval, own text: the component of alerting itself.
SELECT component, event_type AS rule, left(COALESCE(metadata->>'incident', md5(message)), 200) AS subject,
       severity::text, message, "timestamp" AS since, metadata->>'source' AS source,
       jsonb_strip_nulls(jsonb_build_object('symbol', metadata->'symbol', 'event', to_jsonb(id))) AS details
FROM (
    SELECT DISTINCT ON (component, metadata->>'incident') * FROM audit.system_events
    WHERE "timestamp" >= %(now)s::timestamptz - %(former)s::interval AND jsonb_typeof(metadata->'incident') = 'string'
      AND component <> %(own)s
    ORDER BY component, metadata->>'incident', id DESC
) AS newest
WHERE metadata->'over' = 'false' AND severity > 'info'
UNION ALL
SELECT component, event_type, subject, max(severity)::text, (array_agg(message ORDER BY id DESC))[1], min("timestamp"),
       max(source), jsonb_build_object('event', max(id), 'times', count(*))
FROM (
    SELECT *, metadata->>'source' AS source,
           left(COALESCE(metadata->>'symbol', metadata->>'source', md5(message)), 200) AS subject
    FROM audit.system_events
    WHERE "timestamp" >= %(now)s::timestamptz - %(recent)s::interval AND severity >= 'error' AND component <> %(own)s
      AND (metadata IS NULL OR jsonb_typeof(metadata->'incident') IS DISTINCT FROM 'string')
) AS recent
GROUP BY component, event_type, subject
