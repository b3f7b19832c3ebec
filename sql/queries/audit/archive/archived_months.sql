-- Table and month of each archived month.
SELECT table_name, month FROM audit.archived_months ORDER BY 1, 2
