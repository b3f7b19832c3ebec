-- What the events remember to have been archived: table and month, as they were told.
SELECT DISTINCT metadata ->> 'table', metadata ->> 'month' FROM audit.system_events
WHERE event_type = 'month_archived' AND component = 'archive'
ORDER BY 1, 2
