-- Size of a table and its partitions on disk. Parameters: table text.
SELECT COALESCE(sum(pg_total_relation_size(relid)), 0)::bigint
FROM pg_partition_tree(('market_data.' || %(table)s)::regclass)
