-- System events in a half-open window, newest first. Uses system_events_timestamp of the months it overlaps.
SELECT * FROM audit.system_events
WHERE (%(start)s::timestamptz IS NULL OR "timestamp" >= %(start)s)
  AND (%(end)s::timestamptz IS NULL OR "timestamp" < %(end)s)
  AND (%(event_type)s::text IS NULL OR event_type = %(event_type)s)
  AND (%(component)s::text IS NULL OR component = %(component)s)
  AND severity >= %(at_least)s::text::audit.severity_level
ORDER BY "timestamp" DESC, id DESC
LIMIT %(limit)s
