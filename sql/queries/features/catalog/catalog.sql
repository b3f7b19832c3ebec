-- The whole catalog.
SELECT feature_name, description, data_type, category, computation, dependencies, lookback_days, updated_at, kind,
       version, definition_hash, needed_by, warm_up_bars, horizon_bars, availability, awaits, defined_in, frequency
FROM features.catalog
ORDER BY feature_name
