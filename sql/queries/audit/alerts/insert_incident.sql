-- A new incident.
INSERT INTO audit.incidents (component, rule, subject, level, severity, message, since, source, details, noticed_at, seen_at)
VALUES (%(component)s, %(rule)s, %(subject)s, %(level)s, %(severity)s, %(message)s, %(since)s, %(source)s, %(details)s,
        %(noticed_at)s, %(seen_at)s)
RETURNING number
