-- Notes that a month is in the archive. Conflicts on the primary key.
INSERT INTO audit.archived_months (table_name, month) VALUES (%(table)s, %(month)s)
ON CONFLICT (table_name, month) DO UPDATE SET archived_at = clock_timestamp()
