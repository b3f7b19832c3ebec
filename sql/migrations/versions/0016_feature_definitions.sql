-- The catalog holds all of a feature's declaration, of labels too, and of what a user's own files declare.

ALTER TABLE features.catalog
    ADD COLUMN kind            VARCHAR(10) NOT NULL DEFAULT 'feature' CHECK (kind IN ('feature', 'label')),
    ADD COLUMN version         INTEGER CHECK (version >= 1),
    ADD COLUMN definition_hash VARCHAR(64),
    ADD COLUMN needed_by       TEXT[],
    ADD COLUMN warm_up_bars    INTEGER CHECK (warm_up_bars >= 0),
    ADD COLUMN horizon_bars    INTEGER CHECK (horizon_bars >= 1),
    ADD COLUMN availability    TEXT,
    ADD COLUMN awaits          TEXT,
    ADD COLUMN defined_in      TEXT,
    ADD CONSTRAINT catalog_label_has_horizon CHECK ((kind = 'label') = (horizon_bars IS NOT NULL)),
    -- As for the other columns: what every reader can read.
    ADD CONSTRAINT catalog_definition_readable CHECK (
        COALESCE(array_ndims(needed_by), 1) = 1 AND array_position(needed_by, NULL) IS NULL
        AND octet_length(needed_by::text) <= 100000 AND octet_length(availability) <= 1000000
        AND octet_length(awaits) <= 1000000 AND octet_length(defined_in) <= 1000000);
COMMENT ON TABLE features.catalog IS 'The features and labels, from their definitions in code';
COMMENT ON COLUMN features.catalog.dependencies IS 'What it is computed from: bars, indicators, other features, peers, benchmark, news';
COMMENT ON COLUMN features.catalog.kind IS 'feature, or label: a value that looks forward on purpose and is no column of the feature store';
COMMENT ON COLUMN features.catalog.version IS 'Number of its definition';
COMMENT ON COLUMN features.catalog.definition_hash IS 'Identifies its computation, parameters and inputs; in the metadata of each file with its values';
COMMENT ON COLUMN features.catalog.needed_by IS 'Features and labels that are computed from it';
COMMENT ON COLUMN features.catalog.warm_up_bars IS 'Bars before the first one that a partition loads for it';
COMMENT ON COLUMN features.catalog.horizon_bars IS 'Of a label: number of bars after its own that it looks at';
COMMENT ON COLUMN features.catalog.availability IS 'From when a value may be used';
COMMENT ON COLUMN features.catalog.awaits IS 'Why all its values are NULL for now; NULL if they are computed';
COMMENT ON COLUMN features.catalog.defined_in IS 'The file of a definition of the user; NULL for the platform''s own';

-- A version of features names the definitions, too.
ALTER TABLE market_data.input_versions ALTER COLUMN code_version TYPE VARCHAR(40);
