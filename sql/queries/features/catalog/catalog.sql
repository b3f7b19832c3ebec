-- The whole catalog.
SELECT feature_name, description, data_type, category, computation, dependencies, lookback_days, updated_at
FROM features.catalog
ORDER BY feature_name
