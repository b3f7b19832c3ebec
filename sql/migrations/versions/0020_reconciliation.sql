-- The ledger is compared with what brokers say, and a pause keeps new orders from being placed until a person ends it.
-- docs/decisions/0068-reconciliation-and-pauses.md has the reasons.

CREATE TABLE trading.reconciliations (
    number      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    broker      VARCHAR(50) NOT NULL CHECK (broker <> ''),
    day         DATE NOT NULL,
    compared_at TIMESTAMPTZ NOT NULL,
    result      VARCHAR(10) NOT NULL CHECK (result IN ('equal', 'different', 'unknown')),
    positions   INTEGER NOT NULL CHECK (positions >= 0),
    fills       INTEGER NOT NULL CHECK (fills >= 0),
    reason      TEXT,
    CHECK ((result = 'unknown') = (reason IS NOT NULL))
);
CREATE INDEX reconciliations_day ON trading.reconciliations (day, broker);
COMMENT ON TABLE trading.reconciliations IS 'Comparisons of the ledger with a broker; none is ever changed';
COMMENT ON COLUMN trading.reconciliations.number IS 'Number of the comparison';
COMMENT ON COLUMN trading.reconciliations.broker IS 'The broker';
COMMENT ON COLUMN trading.reconciliations.day IS 'Day of the fills, in UTC';
COMMENT ON COLUMN trading.reconciliations.compared_at IS 'When they were compared';
COMMENT ON COLUMN trading.reconciliations.result IS 'equal, different, or unknown: the broker did not answer';
COMMENT ON COLUMN trading.reconciliations.positions IS 'Number of symbols whose positions were compared';
COMMENT ON COLUMN trading.reconciliations.fills IS 'Number of the broker''s fills that were compared';
COMMENT ON COLUMN trading.reconciliations.reason IS 'Why it is unknown';

CREATE TABLE trading.reconciliation_differences (
    reconciliation BIGINT NOT NULL REFERENCES trading.reconciliations (number),
    place          INTEGER NOT NULL CHECK (place >= 0),
    about          VARCHAR(10) NOT NULL CHECK (about IN ('position', 'fill')),
    kind           VARCHAR(20) NOT NULL,
    symbol         VARCHAR(20) NOT NULL,
    subject        VARCHAR(100) NOT NULL,
    ours           VARCHAR(200),
    theirs         VARCHAR(200),
    severity       audit.severity_level NOT NULL,
    PRIMARY KEY (reconciliation, place)
);
COMMENT ON TABLE trading.reconciliation_differences IS 'What differed in a comparison';
COMMENT ON COLUMN trading.reconciliation_differences.reconciliation IS 'Number of the comparison';
COMMENT ON COLUMN trading.reconciliation_differences.place IS 'Its place among the differences, from 0';
COMMENT ON COLUMN trading.reconciliation_differences.about IS 'position or fill';
COMMENT ON COLUMN trading.reconciliation_differences.kind IS 'missing_here, missing_there, quantity, side, price, fee, duplicate or corrected';
COMMENT ON COLUMN trading.reconciliation_differences.symbol IS 'The instrument';
COMMENT ON COLUMN trading.reconciliation_differences.subject IS 'The broker''s id of the fill, or the ledger''s; empty for a position';
COMMENT ON COLUMN trading.reconciliation_differences.ours IS 'What the ledger has; NULL: nothing';
COMMENT ON COLUMN trading.reconciliation_differences.theirs IS 'What the broker says; NULL: nothing';
COMMENT ON COLUMN trading.reconciliation_differences.severity IS 'How bad it is';

CREATE TABLE trading.pauses (
    number      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    began_at    TIMESTAMPTZ NOT NULL,
    began_by    TEXT NOT NULL CHECK (began_by <> ''),
    because     TEXT NOT NULL CHECK (because <> ''),
    until       TIMESTAMPTZ,
    trials_left INTEGER NOT NULL DEFAULT 0 CHECK (trials_left >= 0),
    ended_at    TIMESTAMPTZ,
    ended_by    TEXT,
    ended_because TEXT,
    CHECK ((ended_at IS NULL) = (ended_by IS NULL) AND (ended_at IS NULL) = (ended_because IS NULL))
);
CREATE INDEX pauses_going ON trading.pauses (number) WHERE ended_at IS NULL;
COMMENT ON TABLE trading.pauses IS 'While one goes on no order can be placed; cancelling and recording fills go on';
COMMENT ON COLUMN trading.pauses.number IS 'Its number';
COMMENT ON COLUMN trading.pauses.began_at IS 'When it began';
COMMENT ON COLUMN trading.pauses.began_by IS 'Who or what began it';
COMMENT ON COLUMN trading.pauses.because IS 'For which reason';
COMMENT ON COLUMN trading.pauses.until IS 'When it ends by itself; NULL: when a person ends it';
COMMENT ON COLUMN trading.pauses.trials_left IS 'Half-open: so many orders can be placed as a trial';
COMMENT ON COLUMN trading.pauses.ended_at IS 'When a person ended it';
COMMENT ON COLUMN trading.pauses.ended_by IS 'Who did';
COMMENT ON COLUMN trading.pauses.ended_because IS 'For which reason';

-- An order that exists may be placed again, which changes nothing.
CREATE FUNCTION trading.guard_pauses() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    going trading.pauses;
BEGIN
    IF EXISTS (SELECT FROM trading.orders WHERE id = NEW.id) THEN
        RETURN NEW;
    END IF;
    FOR going IN
        SELECT * FROM trading.pauses
        WHERE ended_at IS NULL AND (until IS NULL OR until > clock_timestamp()) ORDER BY number FOR UPDATE
    LOOP
        IF going.trials_left = 0 THEN
            RAISE check_violation USING CONSTRAINT = 'trading_paused', MESSAGE = format(
                'Trading is paused since %s by %s: %s', to_char(going.began_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), going.began_by, going.because);
        END IF;
        UPDATE trading.pauses SET trials_left = trials_left - 1 WHERE number = going.number;
    END LOOP;
    RETURN NEW;
END;
$$;
COMMENT ON FUNCTION trading.guard_pauses IS 'Refuses new orders while trading is paused';
CREATE TRIGGER orders_paused BEFORE INSERT ON trading.orders FOR EACH ROW EXECUTE FUNCTION trading.guard_pauses();

-- What every reader can read, as for the other tables.
ALTER TABLE trading.reconciliations ADD CONSTRAINT reconciliations_readable CHECK (
    octet_length(reason) <= 1000000 AND day >= '0001-01-01' AND day < '10000-01-01'
    AND compared_at >= '0001-01-01 00:00:00+00' AND compared_at < '10000-01-01 00:00:00+00');
ALTER TABLE trading.pauses ADD CONSTRAINT pauses_readable CHECK (
    octet_length(began_by) <= 1000000 AND octet_length(because) <= 1000000
    AND octet_length(ended_by) <= 1000000 AND octet_length(ended_because) <= 1000000
    AND began_at >= '0001-01-01 00:00:00+00' AND began_at < '10000-01-01 00:00:00+00'
    AND until >= '0001-01-01 00:00:00+00' AND until < '10000-01-01 00:00:00+00'
    AND ended_at >= '0001-01-01 00:00:00+00' AND ended_at < '10000-01-01 00:00:00+00');

CREATE OR REPLACE FUNCTION config.grant_roles() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM config.grant_roles_by_schema();
    REVOKE UPDATE, DELETE ON market_data.bar_revisions, market_data.indicator_revisions,
        market_data.corporate_action_revisions FROM ingest;
    REVOKE INSERT, UPDATE, DELETE ON market_data.revisions_kept FROM ingest;
    GRANT SELECT, INSERT, UPDATE, DELETE ON audit.observers, audit.problems, audit.incidents, audit.silences,
        audit.notifications, audit.deliveries TO ingest;
    GRANT SELECT ON audit.incidents TO agent;
    GRANT SELECT ON trading.trades TO ingest;
    GRANT SELECT, INSERT ON trading.reconciliations, trading.reconciliation_differences TO ingest;
    -- By column: whoever may update a whole table may lock it, and agents' orders wait for this one.
    GRANT SELECT, INSERT, UPDATE (trials_left, ended_at, ended_by, ended_because) ON trading.pauses TO ingest;
    GRANT SELECT ON trading.reconciliations, trading.reconciliation_differences, trading.pauses TO agent;
END;
$$;
DO $$ BEGIN PERFORM config.grant_roles(); END $$;
