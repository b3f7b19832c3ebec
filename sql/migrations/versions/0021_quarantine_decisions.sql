-- The values of a rejected bar, from which it can be released, and what people decide about rejected rows.

ALTER TABLE market_data.quarantine ADD COLUMN bar TEXT;
COMMENT ON COLUMN market_data.quarantine.bar IS 'Texts of the prices and the volume of a single bar, a JSON object; NULL: it is no bar, or was rejected before this column existed';

CREATE TABLE market_data.quarantine_decisions (
    quarantine_id BIGINT NOT NULL,
    action        VARCHAR(10) NOT NULL CHECK (action IN ('release', 'drop')),
    decided_at    TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    decided_by    TEXT NOT NULL CHECK (decided_by <> ''),
    because       TEXT NOT NULL CHECK (because <> ''),
    overridden    VARCHAR(30),
    PRIMARY KEY (quarantine_id, action),
    CONSTRAINT quarantine_decisions_readable CHECK (
        octet_length(decided_by) <= 1000000 AND octet_length(because) <= 1000000
        AND decided_at >= '0001-01-01 00:00:00+00' AND decided_at < '10000-01-01 00:00:00+00')
);
COMMENT ON TABLE market_data.quarantine_decisions IS 'What people decided about rejected rows; rows are only added';
COMMENT ON COLUMN market_data.quarantine_decisions.quarantine_id IS 'The rejected row';
COMMENT ON COLUMN market_data.quarantine_decisions.action IS 'release: it was stored after all; drop: nobody needs to look at it any more';
COMMENT ON COLUMN market_data.quarantine_decisions.decided_at IS 'When';
COMMENT ON COLUMN market_data.quarantine_decisions.decided_by IS 'Who';
COMMENT ON COLUMN market_data.quarantine_decisions.because IS 'For which reason';
COMMENT ON COLUMN market_data.quarantine_decisions.overridden IS 'The rule that was overridden; NULL: the row met all rules then';

CREATE FUNCTION market_data.keep_quarantine_decisions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'decisions about rejected rows are not changed' USING ERRCODE = 'check_violation';
END;
$$;
CREATE TRIGGER quarantine_decisions_kept BEFORE UPDATE OR DELETE ON market_data.quarantine_decisions
    FOR EACH ROW EXECUTE FUNCTION market_data.keep_quarantine_decisions();

DO $$ BEGIN PERFORM config.grant_roles(); END $$;
