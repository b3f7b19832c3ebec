-- The span of the partitions of each table; no rows where TimescaleDB creates its chunks itself.
SELECT table_name, extract(epoch FROM chunk)::bigint FROM config.retention WHERE NOT market_data.uses_timescaledb()
