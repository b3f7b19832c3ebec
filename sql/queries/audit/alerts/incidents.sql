-- Incidents that go on, ended ones whose end nobody was notified of, and those that ended since a time, in the order of their numbers.
-- Parameter: since timestamptz.
SELECT number, component, rule, subject, level, severity::text, message, since, source, details, noticed_at, seen_at,
       times, absent_since, ended_at, closed_at, notified_at, notified_severity::text, end_notified_at, hidden_by,
       acknowledged_at, acknowledged_by, acknowledged_because
FROM audit.incidents
WHERE end_notified_at IS NULL OR ended_at IS NULL OR closed_at >= %(since)s::timestamptz
ORDER BY number
