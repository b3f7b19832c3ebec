-- When TimescaleDB's policies run next.
SELECT hypertable_name, proc_name, next_start
FROM timescaledb_information.jobs
WHERE hypertable_schema = 'market_data' AND starts_with(proc_name, 'policy')
