-- Replaces the catalog by these entries and returns the names of changed ones; unchanged entries are not written.
WITH defined AS (
    SELECT feature_name, description, data_type, category, computation, dependencies, lookback_days
    FROM jsonb_to_recordset(%(entries)s::jsonb) AS entry (
        feature_name VARCHAR(50), description TEXT, data_type VARCHAR(20), category VARCHAR(30), computation TEXT,
        dependencies TEXT[], lookback_days INTEGER)
), changed AS (
    SELECT * FROM defined
    EXCEPT
    SELECT feature_name, description, data_type, category, computation, dependencies, lookback_days
    FROM features.catalog
), removed AS (
    DELETE FROM features.catalog
    WHERE feature_name NOT IN (SELECT feature_name FROM defined)
    RETURNING feature_name
), written AS (
    INSERT INTO features.catalog (
        feature_name, description, data_type, category, computation, dependencies, lookback_days)
    SELECT * FROM changed
    ON CONFLICT (feature_name)
    DO UPDATE SET description = EXCLUDED.description, data_type = EXCLUDED.data_type, category = EXCLUDED.category,
                  computation = EXCLUDED.computation, dependencies = EXCLUDED.dependencies,
                  lookback_days = EXCLUDED.lookback_days
    RETURNING feature_name
)
SELECT feature_name FROM written UNION ALL SELECT feature_name FROM removed ORDER BY feature_name
