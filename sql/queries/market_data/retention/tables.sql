-- The rule of each table, and its number of chunks: in all, compressed, due to be compressed, due to be dropped.
-- Parameters: present timestamptz, grace interval (how long work may be due before it is overdue).
SELECT rule.table_name, rule.timeframe, rule.chunk::text AS chunk, rule.compress_after::text AS compress_after,
       rule.keep::text AS keep,
       count(chunk.table_name) AS chunks,
       count(*) FILTER (WHERE chunk.compressed) AS compressed,
       count(*) FILTER (WHERE NOT chunk.compressed AND chunk.range_end <= %(present)s - rule.compress_after) AS due_to_compress,
       count(*) FILTER (WHERE chunk.range_end <= %(present)s - rule.keep) AS due_to_drop,
       count(*) FILTER (
           WHERE chunk.range_end <= %(present)s - %(grace)s - rule.keep
           OR NOT chunk.compressed AND chunk.range_end <= %(present)s - %(grace)s - rule.compress_after
              AND market_data.uses_timescaledb()) AS overdue,
       max(chunk.range_end) AS newest_end
FROM config.retention AS rule
LEFT JOIN market_data.chunks() AS chunk ON chunk.table_name = rule.table_name
GROUP BY rule.table_name
ORDER BY rule.timeframe <> '1m', rule.timeframe <> '5m', rule.timeframe <> '1h', rule.table_name
