-- When TimescaleDB's policies run next; one that is running now has no such time.
SELECT hypertable_name, proc_name, NULLIF(next_start, '-infinity')
FROM timescaledb_information.jobs
WHERE hypertable_schema = 'market_data' AND starts_with(proc_name, 'policy')
