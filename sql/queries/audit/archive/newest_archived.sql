-- The newest month that the database remembers to have been archived, as 2024-05: from the events about it.
SELECT max(metadata ->> 'month') FROM audit.system_events
WHERE event_type = 'month_archived' AND component = 'archive' AND metadata ->> 'table' = %(table)s
