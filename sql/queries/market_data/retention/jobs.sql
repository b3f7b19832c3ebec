-- The next run of TimescaleDB's policies; NULL for a policy that is running now.
SELECT hypertable_name, proc_name, NULLIF(next_start, '-infinity')
FROM timescaledb_information.jobs
WHERE hypertable_schema = 'market_data' AND starts_with(proc_name, 'policy')
