-- Inserts system events that happened some seconds ago, in one statement.
INSERT INTO audit.system_events ("timestamp", event_type, severity, component, message, metadata)
SELECT clock_timestamp() - make_interval(secs => age), %(event_type)s, %(severity)s, %(component)s, message, metadata::jsonb
FROM unnest(%(ages)s::double precision[], %(messages)s::text[], %(metadata)s::text[])
    WITH ORDINALITY AS given (age, message, metadata, place)
ORDER BY place
