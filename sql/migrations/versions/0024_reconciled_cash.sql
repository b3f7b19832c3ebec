-- Cash and open orders are compared with brokers, too; what moved cash besides fills, a person accepts
-- (docs/decisions/0082-cash-is-compared-with-the-last-accepted-balance.md).

ALTER TABLE trading.reconciliations
    ADD COLUMN orders INTEGER NOT NULL DEFAULT 0 CHECK (orders >= 0),
    ADD COLUMN not_compared TEXT,
    ADD COLUMN has_cash BOOLEAN NOT NULL DEFAULT FALSE,
    ADD COLUMN fills_until TIMESTAMPTZ,
    ADD COLUMN accepted_at TIMESTAMPTZ,
    ADD COLUMN accepted_by TEXT,
    ADD COLUMN accepted_because TEXT,
    ADD CONSTRAINT reconciliations_accepted_whole CHECK (
        (accepted_at IS NULL) = (accepted_by IS NULL) AND (accepted_at IS NULL) = (accepted_because IS NULL)),
    ADD CONSTRAINT reconciliations_notes_readable CHECK (
        octet_length(not_compared) <= 1000000 AND octet_length(accepted_by) <= 1000000
        AND octet_length(accepted_because) <= 1000000
        AND fills_until >= '0001-01-01 00:00:00+00' AND fills_until < '10000-01-01 00:00:00+00'
        AND accepted_at >= '0001-01-01 00:00:00+00' AND accepted_at < '10000-01-01 00:00:00+00');
CREATE INDEX reconciliations_with_cash ON trading.reconciliations (broker, number) WHERE has_cash;
COMMENT ON TABLE trading.reconciliations IS 'Comparisons of the ledger with a broker; only that a person accepts its cash is added later';
COMMENT ON COLUMN trading.reconciliations.orders IS 'Number of open orders that were compared, over both sides';
COMMENT ON COLUMN trading.reconciliations.not_compared IS 'What the broker does not show, and why; NULL: all was compared';
COMMENT ON COLUMN trading.reconciliations.has_cash IS 'Whether its balances of money are in reconciled_cash';
COMMENT ON COLUMN trading.reconciliations.fills_until IS 'Fills before it were compared; NULL: the broker did not show them';
COMMENT ON COLUMN trading.reconciliations.accepted_at IS 'When a person accepted its balances of money as they are';
COMMENT ON COLUMN trading.reconciliations.accepted_by IS 'Who did';
COMMENT ON COLUMN trading.reconciliations.accepted_because IS 'For which reason';

ALTER TABLE trading.reconciliation_differences
    DROP CONSTRAINT reconciliation_differences_about_check,
    ADD CONSTRAINT reconciliation_differences_about_check CHECK (about IN ('position', 'fill', 'cash', 'order'));
COMMENT ON COLUMN trading.reconciliation_differences.about IS 'position, fill, cash or order';
COMMENT ON COLUMN trading.reconciliation_differences.kind IS 'missing_here, missing_there, quantity, side, price, fee, duplicate, corrected, amount, status or symbol';
COMMENT ON COLUMN trading.reconciliation_differences.symbol IS 'The instrument, or the currency';
COMMENT ON COLUMN trading.reconciliation_differences.subject IS 'The broker''s id of the fill or order, or the ledger''s; else empty';
COMMENT ON COLUMN trading.reconciliation_differences.ours IS 'What the ledger has, or of cash what follows from it; NULL: nothing';

CREATE TABLE trading.reconciled_cash (
    reconciliation BIGINT NOT NULL REFERENCES trading.reconciliations (number),
    currency       VARCHAR(20) NOT NULL CHECK (currency <> ''),
    amount         DECIMAL NOT NULL CHECK (amount <> 'NaN' AND abs(amount) < 1e30),
    flow           DECIMAL NOT NULL CHECK (flow <> 'NaN' AND abs(flow) < 1e40),
    fills          INTEGER NOT NULL CHECK (fills >= 0),
    PRIMARY KEY (reconciliation, currency)
);
COMMENT ON TABLE trading.reconciled_cash IS 'Balances of money at comparisons, with what the fills explain of them';
COMMENT ON COLUMN trading.reconciled_cash.reconciliation IS 'Number of the comparison';
COMMENT ON COLUMN trading.reconciled_cash.currency IS 'The currency';
COMMENT ON COLUMN trading.reconciled_cash.amount IS 'The broker''s balance';
COMMENT ON COLUMN trading.reconciled_cash.flow IS 'What all fills of the ledger at this broker have moved it by';
COMMENT ON COLUMN trading.reconciled_cash.fills IS 'Number of these fills';

CREATE OR REPLACE FUNCTION config.grant_roles() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM config.grant_roles_by_schema();
    REVOKE UPDATE, DELETE ON market_data.bar_revisions, market_data.indicator_revisions,
        market_data.corporate_action_revisions FROM ingest;
    REVOKE INSERT, UPDATE, DELETE ON market_data.revisions_kept FROM ingest;
    GRANT SELECT, INSERT, UPDATE, DELETE ON audit.observers, audit.problems, audit.incidents, audit.silences,
        audit.notifications, audit.deliveries TO ingest;
    GRANT SELECT ON audit.incidents, audit.observers TO agent;
    GRANT SELECT ON trading.trades, trading.orders TO ingest;
    GRANT SELECT, INSERT ON trading.reconciliations, trading.reconciliation_differences, trading.reconciled_cash
        TO ingest;
    GRANT UPDATE (accepted_at, accepted_by, accepted_because) ON trading.reconciliations TO ingest;
    -- By column: whoever may update a whole table may lock it, and agents' orders wait for this one.
    GRANT SELECT, INSERT, UPDATE (trials_left, ended_at, ended_by, ended_because) ON trading.pauses TO ingest;
    GRANT SELECT ON trading.reconciliations, trading.reconciliation_differences, trading.reconciled_cash,
        trading.pauses TO agent;
END;
$$;
DO $$ BEGIN PERFORM config.grant_roles(); END $$;
