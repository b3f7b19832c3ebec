-- Replaces the catalog by these entries and returns the names of changed ones; unchanged entries are not written.
-- Entries of a file that is kept stay, as its definitions are not known.
WITH defined AS (
    SELECT feature_name, description, data_type, category, computation, dependencies, lookback_days, kind, version,
           definition_hash, needed_by, warm_up_bars, horizon_bars, availability, awaits, defined_in, frequency
    FROM jsonb_to_recordset(%(entries)s::jsonb) AS entry (
        feature_name VARCHAR(50), description TEXT, data_type VARCHAR(20), category VARCHAR(30), computation TEXT,
        dependencies TEXT[], lookback_days INTEGER, kind VARCHAR(10), version INTEGER, definition_hash VARCHAR(64),
        needed_by TEXT[], warm_up_bars INTEGER, horizon_bars INTEGER, availability TEXT, awaits TEXT, defined_in TEXT,
        frequency VARCHAR(5))
), changed AS (
    SELECT * FROM defined
    EXCEPT
    SELECT feature_name, description, data_type, category, computation, dependencies, lookback_days, kind, version,
           definition_hash, needed_by, warm_up_bars, horizon_bars, availability, awaits, defined_in, frequency
    FROM features.catalog
), removed AS (
    DELETE FROM features.catalog
    WHERE feature_name NOT IN (SELECT feature_name FROM defined)
      AND (defined_in IS NULL OR NOT (defined_in = ANY(%(kept)s) OR %(keep_all)s))
    RETURNING feature_name
), written AS (
    INSERT INTO features.catalog (
        feature_name, description, data_type, category, computation, dependencies, lookback_days, kind, version,
        definition_hash, needed_by, warm_up_bars, horizon_bars, availability, awaits, defined_in, frequency)
    SELECT * FROM changed
    ON CONFLICT (feature_name)
    DO UPDATE SET description = EXCLUDED.description, data_type = EXCLUDED.data_type, category = EXCLUDED.category,
                  computation = EXCLUDED.computation, dependencies = EXCLUDED.dependencies,
                  lookback_days = EXCLUDED.lookback_days, kind = EXCLUDED.kind, version = EXCLUDED.version,
                  definition_hash = EXCLUDED.definition_hash, needed_by = EXCLUDED.needed_by,
                  warm_up_bars = EXCLUDED.warm_up_bars, horizon_bars = EXCLUDED.horizon_bars,
                  availability = EXCLUDED.availability, awaits = EXCLUDED.awaits, defined_in = EXCLUDED.defined_in,
                  frequency = EXCLUDED.frequency
    RETURNING feature_name
)
SELECT feature_name FROM written UNION ALL SELECT feature_name FROM removed ORDER BY feature_name
