-- The newest archived month of a table, as 2024-05. By primary key.
SELECT max(month) FROM audit.archived_months WHERE table_name = %(table)s
