-- What is wrong, as incidents, and the messages that tell people of them. docs/decisions/0066-incidents.md has the reasons.

CREATE TABLE audit.observers (
    name       VARCHAR(50) PRIMARY KEY CHECK (name <> ''),
    seen_at    TIMESTAMPTZ NOT NULL,
    every      INTERVAL NOT NULL CHECK (every > INTERVAL '0'),
    components VARCHAR(50)[] NOT NULL
);
COMMENT ON TABLE audit.observers IS 'Who looks for problems; one that is silent is a problem itself';
COMMENT ON COLUMN audit.observers.name IS 'Name of the observer: alerts, stream, dagster';
COMMENT ON COLUMN audit.observers.seen_at IS 'When it last reported';
COMMENT ON COLUMN audit.observers.every IS 'How often it reports; after four times as long it counts as silent';
COMMENT ON COLUMN audit.observers.components IS 'The components that it reports of';

CREATE TABLE audit.problems (
    observer   VARCHAR(50) NOT NULL REFERENCES audit.observers (name) ON DELETE CASCADE,
    component  VARCHAR(50) NOT NULL,
    rule       VARCHAR(50) NOT NULL,
    subject    VARCHAR(200) NOT NULL,
    level      VARCHAR(10) NOT NULL CHECK (level IN ('host', 'store', 'source', 'service', 'symbol')),
    severity   audit.severity_level NOT NULL,
    message    TEXT NOT NULL,
    since      TIMESTAMPTZ NOT NULL,
    source     VARCHAR(50),
    details    JSONB NOT NULL DEFAULT '{}',
    PRIMARY KEY (observer, component, rule, subject)
);
COMMENT ON TABLE audit.problems IS 'What each observer finds wrong now';
COMMENT ON COLUMN audit.problems.observer IS 'Who found it';
COMMENT ON COLUMN audit.problems.component IS 'What it befalls: a part of the platform';
COMMENT ON COLUMN audit.problems.rule IS 'Kind of problem';
COMMENT ON COLUMN audit.problems.subject IS 'Symbol, check, job or path that it befalls; empty: all of the component';
COMMENT ON COLUMN audit.problems.level IS 'Place in the tree of causes: a host explains stores, those sources and services, a source symbols';
COMMENT ON COLUMN audit.problems.severity IS 'How bad it is';
COMMENT ON COLUMN audit.problems.message IS 'What is wrong and what to do, in words';
COMMENT ON COLUMN audit.problems.since IS 'From when on';
COMMENT ON COLUMN audit.problems.source IS 'Source of market data that it concerns; NULL: all, or none';
COMMENT ON COLUMN audit.problems.details IS 'Further data';

CREATE TABLE audit.incidents (
    number                BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    component             VARCHAR(50) NOT NULL,
    rule                  VARCHAR(50) NOT NULL,
    subject               VARCHAR(200) NOT NULL,
    level                 VARCHAR(10) NOT NULL CHECK (level IN ('host', 'store', 'source', 'service', 'symbol')),
    severity              audit.severity_level NOT NULL,
    message               TEXT NOT NULL,
    since                 TIMESTAMPTZ NOT NULL,
    source                VARCHAR(50),
    details               JSONB NOT NULL DEFAULT '{}',
    noticed_at            TIMESTAMPTZ NOT NULL,
    seen_at               TIMESTAMPTZ NOT NULL,
    times                 INTEGER NOT NULL DEFAULT 1 CHECK (times >= 1),
    absent_since          TIMESTAMPTZ,
    ended_at              TIMESTAMPTZ,
    closed_at             TIMESTAMPTZ,
    told_at               TIMESTAMPTZ,
    told_severity         audit.severity_level,
    end_told_at           TIMESTAMPTZ,
    hidden_by             BIGINT,
    acknowledged_at       TIMESTAMPTZ,
    acknowledged_by       TEXT,
    acknowledged_because  TEXT,
    CHECK ((ended_at IS NULL) = (closed_at IS NULL)),
    CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL))
);
CREATE UNIQUE INDEX incidents_open ON audit.incidents (component, rule, subject) WHERE ended_at IS NULL;
CREATE INDEX incidents_untold ON audit.incidents (number) WHERE end_told_at IS NULL;
CREATE INDEX incidents_closed_at ON audit.incidents (closed_at);
COMMENT ON TABLE audit.incidents IS 'Problems over time; one that comes back within the hold is the same incident';
COMMENT ON COLUMN audit.incidents.number IS 'Its number, by which messages and commands name it';
COMMENT ON COLUMN audit.incidents.component IS 'What it befalls: a part of the platform';
COMMENT ON COLUMN audit.incidents.rule IS 'Kind of problem';
COMMENT ON COLUMN audit.incidents.subject IS 'Symbol, check, job or path that it befalls; empty: all of the component';
COMMENT ON COLUMN audit.incidents.level IS 'Place in the tree of causes: a host explains stores, those sources and services, a source symbols';
COMMENT ON COLUMN audit.incidents.severity IS 'How bad it is';
COMMENT ON COLUMN audit.incidents.message IS 'What is wrong and what to do, in words, as last seen';
COMMENT ON COLUMN audit.incidents.since IS 'When it began';
COMMENT ON COLUMN audit.incidents.source IS 'Source of market data that it concerns; NULL: all, or none';
COMMENT ON COLUMN audit.incidents.details IS 'Further data';
COMMENT ON COLUMN audit.incidents.noticed_at IS 'When it was first seen; it may have begun before';
COMMENT ON COLUMN audit.incidents.seen_at IS 'When it was last seen';
COMMENT ON COLUMN audit.incidents.times IS 'How often it came: 1, and one more each time it came back within the hold';
COMMENT ON COLUMN audit.incidents.absent_since IS 'From when on it has not been seen; NULL: it is seen';
COMMENT ON COLUMN audit.incidents.ended_at IS 'When it ended; NULL: it goes on, or may come back within the hold';
COMMENT ON COLUMN audit.incidents.closed_at IS 'When that was certain: after the hold';
COMMENT ON COLUMN audit.incidents.told_at IS 'When people were last told that it goes on; NULL: never';
COMMENT ON COLUMN audit.incidents.told_severity IS 'The severity that they were told';
COMMENT ON COLUMN audit.incidents.end_told_at IS 'When they were told that it is over, or when that was settled without a message';
COMMENT ON COLUMN audit.incidents.hidden_by IS 'Number of the incident that explains it; NULL: it stands for itself';
COMMENT ON COLUMN audit.incidents.acknowledged_at IS 'When a person acknowledged it';
COMMENT ON COLUMN audit.incidents.acknowledged_by IS 'Who did';
COMMENT ON COLUMN audit.incidents.acknowledged_because IS 'For which reason';

CREATE TABLE audit.silences (
    number     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pattern    VARCHAR(300) NOT NULL CHECK (pattern <> ''),
    until      TIMESTAMPTZ NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    created_by TEXT NOT NULL,
    because    TEXT NOT NULL
);
CREATE INDEX silences_until ON audit.silences (until);
COMMENT ON TABLE audit.silences IS 'What people do not want to be told for a while';
COMMENT ON COLUMN audit.silences.number IS 'Its number';
COMMENT ON COLUMN audit.silences.pattern IS 'Of component:rule:subject, * for any text';
COMMENT ON COLUMN audit.silences.until IS 'When it ends';
COMMENT ON COLUMN audit.silences.created_at IS 'When it was made';
COMMENT ON COLUMN audit.silences.created_by IS 'Who made it';
COMMENT ON COLUMN audit.silences.because IS 'For which reason';

CREATE TABLE audit.notifications (
    number     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at TIMESTAMPTZ NOT NULL,
    severity   audit.severity_level NOT NULL,
    text       TEXT NOT NULL,
    incidents  BIGINT[] NOT NULL
);
CREATE INDEX notifications_created_at ON audit.notifications (created_at);
COMMENT ON TABLE audit.notifications IS 'Messages to people, as they were written';
COMMENT ON COLUMN audit.notifications.number IS 'Number of the message; they are sent in this order';
COMMENT ON COLUMN audit.notifications.created_at IS 'When it was written';
COMMENT ON COLUMN audit.notifications.severity IS 'Highest severity of what goes on; info: all of it is over';
COMMENT ON COLUMN audit.notifications.text IS 'Its text';
COMMENT ON COLUMN audit.notifications.incidents IS 'Numbers of its incidents';

CREATE TABLE audit.deliveries (
    notification BIGINT NOT NULL REFERENCES audit.notifications (number),
    channel      VARCHAR(50) NOT NULL CHECK (channel <> ''),
    state        VARCHAR(10) NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'parked')),
    attempts     INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    due_at       TIMESTAMPTZ NOT NULL,
    leased_until TIMESTAMPTZ,
    sent_at      TIMESTAMPTZ,
    error        TEXT,
    PRIMARY KEY (notification, channel)
);
CREATE INDEX deliveries_waiting ON audit.deliveries (channel, notification) WHERE state = 'waiting';
COMMENT ON TABLE audit.deliveries IS 'The outbox of the channels: each message once for each';
COMMENT ON COLUMN audit.deliveries.notification IS 'Number of the message';
COMMENT ON COLUMN audit.deliveries.channel IS 'Name of the channel: telegram, stream, log, or one of ALERT_URLS';
COMMENT ON COLUMN audit.deliveries.state IS 'waiting, sent, or parked: it can never be sent';
COMMENT ON COLUMN audit.deliveries.attempts IS 'Failed attempts; those that a channel put off are not counted';
COMMENT ON COLUMN audit.deliveries.due_at IS 'Before this time it is not tried again';
COMMENT ON COLUMN audit.deliveries.leased_until IS 'Until then a sender has it; if that dies, another takes it';
COMMENT ON COLUMN audit.deliveries.sent_at IS 'When the channel took it';
COMMENT ON COLUMN audit.deliveries.error IS 'Why the last attempt failed';

-- What every reader can read, as for the other tables.
ALTER TABLE audit.observers ADD CONSTRAINT observers_readable CHECK (
    seen_at >= '0001-01-01 00:00:00+00' AND seen_at < '10000-01-01 00:00:00+00' AND every < INTERVAL '1 year');
ALTER TABLE audit.problems ADD CONSTRAINT problems_readable CHECK (
    octet_length(message) <= 1000000 AND octet_length(details::text) <= 1000000
    AND NOT jsonb_path_exists(details, '$.**{100 to last}')
    AND NOT jsonb_path_exists(details, '$.** ? (@.type() == "number" && (@ >= 1e4000 || @ <= -1e4000))')
    AND since >= '0001-01-01 00:00:00+00' AND since < '10000-01-01 00:00:00+00');
ALTER TABLE audit.incidents ADD CONSTRAINT incidents_readable CHECK (
    octet_length(message) <= 1000000 AND octet_length(details::text) <= 1000000
    AND NOT jsonb_path_exists(details, '$.**{100 to last}')
    AND NOT jsonb_path_exists(details, '$.** ? (@.type() == "number" && (@ >= 1e4000 || @ <= -1e4000))')
    AND octet_length(acknowledged_by) <= 1000000 AND octet_length(acknowledged_because) <= 1000000
    AND since >= '0001-01-01 00:00:00+00' AND since < '10000-01-01 00:00:00+00'
    AND noticed_at >= '0001-01-01 00:00:00+00' AND noticed_at < '10000-01-01 00:00:00+00'
    AND seen_at >= '0001-01-01 00:00:00+00' AND seen_at < '10000-01-01 00:00:00+00'
    AND absent_since >= '0001-01-01 00:00:00+00' AND absent_since < '10000-01-01 00:00:00+00'
    AND ended_at >= '0001-01-01 00:00:00+00' AND ended_at < '10000-01-01 00:00:00+00'
    AND closed_at >= '0001-01-01 00:00:00+00' AND closed_at < '10000-01-01 00:00:00+00'
    AND told_at >= '0001-01-01 00:00:00+00' AND told_at < '10000-01-01 00:00:00+00'
    AND end_told_at >= '0001-01-01 00:00:00+00' AND end_told_at < '10000-01-01 00:00:00+00'
    AND acknowledged_at >= '0001-01-01 00:00:00+00' AND acknowledged_at < '10000-01-01 00:00:00+00');
ALTER TABLE audit.silences ADD CONSTRAINT silences_readable CHECK (
    octet_length(created_by) <= 1000000 AND octet_length(because) <= 1000000
    AND until >= '0001-01-01 00:00:00+00' AND until < '10000-01-01 00:00:00+00'
    AND created_at >= '0001-01-01 00:00:00+00' AND created_at < '10000-01-01 00:00:00+00');
ALTER TABLE audit.notifications ADD CONSTRAINT notifications_readable CHECK (
    octet_length(text) <= 1000000
    AND created_at >= '0001-01-01 00:00:00+00' AND created_at < '10000-01-01 00:00:00+00');
ALTER TABLE audit.deliveries ADD CONSTRAINT deliveries_readable CHECK (
    octet_length(error) <= 1000000
    AND due_at >= '0001-01-01 00:00:00+00' AND due_at < '10000-01-01 00:00:00+00'
    AND leased_until >= '0001-01-01 00:00:00+00' AND leased_until < '10000-01-01 00:00:00+00'
    AND sent_at >= '0001-01-01 00:00:00+00' AND sent_at < '10000-01-01 00:00:00+00');

CREATE OR REPLACE FUNCTION config.grant_roles() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM config.grant_roles_by_schema();
    REVOKE UPDATE, DELETE ON market_data.bar_revisions, market_data.indicator_revisions,
        market_data.corporate_action_revisions FROM ingest;
    REVOKE INSERT, UPDATE, DELETE ON market_data.revisions_kept FROM ingest;
    GRANT SELECT, INSERT, UPDATE, DELETE ON audit.observers, audit.problems, audit.incidents, audit.silences,
        audit.notifications, audit.deliveries TO ingest;
    GRANT SELECT ON audit.incidents TO agent;
END;
$$;
DO $$ BEGIN PERFORM config.grant_roles(); END $$;
