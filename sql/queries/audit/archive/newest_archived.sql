-- The newest archived month, as 2024-05, from the system events about archiving.
SELECT max(metadata ->> 'month') FROM audit.system_events
WHERE event_type = 'month_archived' AND component = 'archive' AND metadata ->> 'table' = %(table)s
