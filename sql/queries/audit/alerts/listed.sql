-- Incidents for people, the newest first. Parameters: open_only boolean, start timestamptz, severities text[], limit.
SELECT number, component, rule, subject, level, severity::text, message, since, source, details, noticed_at, seen_at,
       times, absent_since, ended_at, closed_at, notified_at, notified_severity::text, end_notified_at, hidden_by,
       acknowledged_at, acknowledged_by, acknowledged_because
FROM audit.incidents
WHERE (NOT %(open_only)s::boolean OR ended_at IS NULL)
  AND (%(start)s::timestamptz IS NULL OR ended_at IS NULL OR ended_at >= %(start)s)
  AND severity::text = ANY(%(severities)s::text[])
ORDER BY ended_at IS NOT NULL, number DESC
LIMIT %(limit)s
