-- A month's events in the order of the archive, as its files have them; times in microseconds since 1970.
SELECT id, (extract(epoch FROM "timestamp") * 1000000)::bigint, event_type, severity::text,
       component, message, metadata::text
FROM audit.system_events
WHERE "timestamp" >= %(first)s AND "timestamp" < %(after)s
ORDER BY "timestamp", id
