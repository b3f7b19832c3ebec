-- The terms of the field for tables, columns and states that had names of our own (docs/naming.md). Rows keep what they
-- say, and functions do what they did.

ALTER TABLE market_data.derivations RENAME TO input_versions;
ALTER TABLE market_data.resume_points RENAME TO checkpoints;
ALTER TABLE market_data.overlaps RENAME TO source_comparisons;
ALTER TABLE market_data.overlap_differences RENAME TO conflicting_versions;
ALTER TABLE config.lifecycle RENAME TO retention;

ALTER TABLE market_data.coverage RENAME COLUMN unconfirmed TO pending_confirmation;
ALTER TABLE market_data.coverage_requests RENAME COLUMN refused TO rejected;
ALTER TABLE market_data.source_comparisons RENAME COLUMN tier TO compared_with;
ALTER TABLE market_data.conflicting_versions RENAME COLUMN tier TO compared_with;
ALTER TABLE market_data.conflicting_versions RENAME COLUMN heard TO received;

-- Constraints, and with a primary key its index, are called after their table.
DO $$
DECLARE
    renamed record;
    item text;
BEGIN
    FOR renamed IN
        SELECT * FROM (VALUES
            ('market_data.input_versions', 'derivations'), ('market_data.checkpoints', 'resume_points'),
            ('market_data.source_comparisons', 'overlaps'), ('market_data.conflicting_versions', 'overlap_differences'),
            ('config.retention', 'lifecycle')) AS pair (relation, before)
    LOOP
        FOR item IN
            SELECT conname FROM pg_constraint
            WHERE conrelid = renamed.relation::regclass AND starts_with(conname, renamed.before)
        LOOP
            EXECUTE format(
                'ALTER TABLE %s RENAME CONSTRAINT %I TO %I', renamed.relation, item,
                split_part(renamed.relation, '.', 2) || substr(item, length(renamed.before) + 1));
        END LOOP;
    END LOOP;
END;
$$;

-- Functions name the table of retention in their text.
DO $$
DECLARE
    definition text;
BEGIN
    FOR definition IN
        SELECT pg_get_functiondef(oid) FROM pg_proc
        WHERE pronamespace = ANY(ARRAY['market_data', 'config']::regnamespace[]) AND prosrc ~ '\mlifecycle\M'
    LOOP
        EXECUTE regexp_replace(definition, '\mlifecycle\M', 'retention', 'g');
    END LOOP;
END;
$$;

-- States ---------------------------------------------------------------------------------------------

ALTER TABLE market_data.outages DROP CONSTRAINT outages_state_check;
ALTER TABLE market_data.outages ALTER COLUMN state TYPE VARCHAR(20);
UPDATE market_data.outages SET state = 'failed_permanently' WHERE state = 'given_up';
ALTER TABLE market_data.outages ADD CONSTRAINT outages_state_check
    CHECK (state IN ('open', 'closed', 'repairing', 'repaired', 'failed_permanently'));

ALTER TABLE market_data.gaps DROP CONSTRAINT gaps_state_check;
ALTER TABLE market_data.gaps DROP CONSTRAINT gaps_kind_check;
ALTER TABLE market_data.gaps DROP CONSTRAINT gaps_given_up_in_an_incident;
ALTER TABLE market_data.gaps ALTER COLUMN state TYPE VARCHAR(20);
UPDATE market_data.gaps
SET state = CASE state WHEN 'given_up' THEN 'failed_permanently' ELSE state END,
    kind = CASE kind WHEN 'unconfirmed' THEN 'pending_confirmation' WHEN 'vanished' THEN 'missing_or_modified' ELSE kind END
WHERE state = 'given_up' OR kind IN ('unconfirmed', 'vanished');
ALTER TABLE market_data.gaps ADD CONSTRAINT gaps_state_check CHECK (state IN ('open', 'failed_permanently'));
ALTER TABLE market_data.gaps ADD CONSTRAINT gaps_kind_check
    CHECK (kind IN ('missing', 'pending_confirmation', 'missing_or_modified'));
ALTER TABLE market_data.gaps ADD CONSTRAINT gaps_failed_permanently_in_an_incident
    CHECK (state <> 'failed_permanently' OR incident IS NOT NULL);

UPDATE audit.system_events
SET event_type = CASE event_type
    WHEN 'fill_refused' THEN 'fill_rejected'
    WHEN 'gaps_given_up' THEN 'gaps_failed_permanently'
    WHEN 'feed_silent' THEN 'feed_inactive'
    WHEN 'bars_vanished' THEN 'bars_missing_or_modified'
    ELSE 'outage_failed_permanently' END
WHERE event_type IN ('fill_refused', 'gaps_given_up', 'bars_vanished', 'feed_silent', 'outage_given_up');

-- Comments -------------------------------------------------------------------------------------------

COMMENT ON TABLE market_data.input_versions IS 'From which version of the bars each partition of roll-ups, indicators and features was computed';
COMMENT ON TABLE market_data.checkpoints IS 'Where the last paged request goes on, written in the transaction of its bars';
COMMENT ON COLUMN market_data.checkpoints.token IS 'Cursor and unfinished bar, in the format of the source';
COMMENT ON TABLE market_data.source_comparisons IS 'Which stored bars a source has sent a second time, and were compared; those not in conflicting_versions agree';
COMMENT ON COLUMN market_data.source_comparisons.compared_with IS 'Where the second version came from: Trades, OHLC, OHLCVT archive, trades archive';
COMMENT ON TABLE market_data.conflicting_versions IS 'Bars of which a source has sent two versions that differ; deleted once they agree';
COMMENT ON COLUMN market_data.conflicting_versions.compared_with IS 'Where the second version came from';
COMMENT ON COLUMN market_data.conflicting_versions.received IS 'The second version: open, high, low, close, volume';
COMMENT ON COLUMN market_data.conflicting_versions.replaced IS 'Whether the second version replaced the stored one, coming from a source of higher priority';
COMMENT ON COLUMN market_data.conflicting_versions.origin IS 'The request or the file';
COMMENT ON COLUMN market_data.coverage.answered IS 'Answered for and still held: a slot without a bar there is confirmed empty';
COMMENT ON COLUMN market_data.coverage.pending_confirmation IS 'Answered with nothing though the instrument usually trades; empty only after a second request or another source confirms it';
COMMENT ON TABLE market_data.coverage_requests IS 'Every request to a source and its outcome';
COMMENT ON TABLE market_data.fingerprints IS 'Count and checksum of the bars committed in each period, by which missing and modified rows are detected';
COMMENT ON COLUMN market_data.gaps.kind IS 'missing: no source has answered; pending_confirmation: an empty response to be confirmed; missing_or_modified: committed once, missing or changed since';
COMMENT ON COLUMN market_data.gaps.state IS 'open: to be repaired; failed_permanently: a person has to look at it';
COMMENT ON COLUMN market_data.gaps.note IS 'Outcome of the last attempt';
COMMENT ON COLUMN market_data.gaps.incident IS 'The alert that published the permanent failure, the same for all gaps of that alert; kept while the gap is tried again';
COMMENT ON TABLE market_data.outages IS 'Intervals in which a feed did not deliver an instrument''s events, and what was done about each';
COMMENT ON COLUMN market_data.outages.down_at IS 'Start: no event was received after this';
COMMENT ON COLUMN market_data.outages.up_at IS 'End; NULL while the outage goes on';
COMMENT ON COLUMN market_data.outages.state IS 'open; closed: to be repaired; repairing; repaired; failed_permanently: a person has to look at it';
COMMENT ON COLUMN market_data.outages.note IS 'Outcome of the last attempt';
COMMENT ON FUNCTION market_data.chunks IS 'The chunks or partitions of each table in config.retention';
COMMENT ON FUNCTION market_data.ensure_policies IS 'Makes the policies in the database those of config.retention, and returns what it changed';
