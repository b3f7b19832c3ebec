-- How much a hypertable takes on disk, compressed chunks included. Parameters: table text.
SELECT hypertable_size(('market_data.' || %(table)s)::regclass)
