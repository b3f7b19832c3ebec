-- How long the partitions of each table are; none where TimescaleDB makes its chunks by itself.
SELECT table_name, extract(epoch FROM chunk)::bigint FROM config.retention WHERE NOT market_data.uses_timescaledb()
