-- Inserts a system event; the time defaults to the database's clock.
INSERT INTO audit.system_events ("timestamp", event_type, severity, component, message, metadata)
VALUES (COALESCE(%(timestamp)s::timestamptz, clock_timestamp()), %(event_type)s, %(severity)s, %(component)s, %(message)s, %(metadata)s)
RETURNING *
