-- Size of a hypertable on disk, including compressed chunks. Parameters: table text.
SELECT hypertable_size(('market_data.' || %(table)s)::regclass)
