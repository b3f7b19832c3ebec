-- The partitions of a table except the default one: quoted name, start (inclusive), end (exclusive).
SELECT format('%%I.%%I', partition_schema.nspname, partition.relname),
       (regexp_match(bound, 'FROM \(''([^'']+)''\)'))[1]::timestamptz,
       (regexp_match(bound, 'TO \(''([^'']+)''\)'))[1]::timestamptz
FROM pg_inherits
JOIN pg_class AS partition ON partition.oid = inhrelid
JOIN pg_namespace AS partition_schema ON partition_schema.oid = partition.relnamespace
CROSS JOIN LATERAL pg_get_expr(partition.relpartbound, partition.oid) AS bound
WHERE inhparent = %(table)s::regclass AND bound <> 'DEFAULT'
ORDER BY 2
