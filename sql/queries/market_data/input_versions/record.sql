-- Records the input versions of a partition. Conflicts on the primary key.
INSERT INTO market_data.input_versions
    (dataset, symbol, partition_start, input_version, code_version, splits, row_count, computed_at)
VALUES (%(dataset)s, %(symbol)s, %(partition_start)s, %(input_version)s, %(code_version)s, %(splits)s, %(row_count)s, %(computed_at)s)
ON CONFLICT (dataset, symbol, partition_start)
DO UPDATE SET input_version = EXCLUDED.input_version, code_version = EXCLUDED.code_version,
              splits = EXCLUDED.splits, row_count = EXCLUDED.row_count, computed_at = EXCLUDED.computed_at
