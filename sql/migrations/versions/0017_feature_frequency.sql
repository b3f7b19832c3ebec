-- A feature may be computed from hourly bars; it has values in hourly rows only.

ALTER TABLE features.catalog
    ADD COLUMN frequency VARCHAR(5) NOT NULL DEFAULT '1d' CHECK (frequency IN ('1d', '1h'));
COMMENT ON COLUMN features.catalog.frequency IS '1d: of daily rows, and of hourly rows by days of 24 hours; 1h: of hourly bars, in hourly rows only';
