-- Columns of incidents by the field's word for a message to a person (docs/naming.md), and agents may read who looks for
-- problems: that no incident is known says nothing where nobody does.

ALTER TABLE audit.incidents RENAME COLUMN told_at TO notified_at;
ALTER TABLE audit.incidents RENAME COLUMN told_severity TO notified_severity;
ALTER TABLE audit.incidents RENAME COLUMN end_told_at TO end_notified_at;
ALTER INDEX audit.incidents_untold RENAME TO incidents_to_notify;
COMMENT ON COLUMN audit.incidents.notified_at IS 'When people were last notified that it goes on; NULL: never';
COMMENT ON COLUMN audit.incidents.notified_severity IS 'The severity that this message named';
COMMENT ON COLUMN audit.incidents.end_notified_at IS
    'When people were notified that it is over, or when that was settled without a message';
COMMENT ON TABLE audit.silences IS 'Incidents of which people do not want to be notified for a while';

CREATE OR REPLACE FUNCTION config.grant_roles() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM config.grant_roles_by_schema();
    REVOKE UPDATE, DELETE ON market_data.bar_revisions, market_data.indicator_revisions,
        market_data.corporate_action_revisions FROM ingest;
    REVOKE INSERT, UPDATE, DELETE ON market_data.revisions_kept FROM ingest;
    GRANT SELECT, INSERT, UPDATE, DELETE ON audit.observers, audit.problems, audit.incidents, audit.silences,
        audit.notifications, audit.deliveries TO ingest;
    GRANT SELECT ON audit.incidents, audit.observers TO agent;
    GRANT SELECT ON trading.trades TO ingest;
    GRANT SELECT, INSERT ON trading.reconciliations, trading.reconciliation_differences TO ingest;
    -- By column: whoever may update a whole table may lock it, and agents' orders wait for this one.
    GRANT SELECT, INSERT, UPDATE (trials_left, ended_at, ended_by, ended_because) ON trading.pauses TO ingest;
    GRANT SELECT ON trading.reconciliations, trading.reconciliation_differences, trading.pauses TO agent;
END;
$$;
DO $$ BEGIN PERFORM config.grant_roles(); END $$;
