-- Table and month of each archived month, from the system events about archiving.
SELECT DISTINCT metadata ->> 'table', metadata ->> 'month' FROM audit.system_events
WHERE event_type = 'month_archived' AND component = 'archive'
ORDER BY 1, 2
