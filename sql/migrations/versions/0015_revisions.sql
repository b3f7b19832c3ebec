-- What the platform knew at a time: when each row was recorded, and the rows before they were replaced
-- (docs/decisions/0055-what-was-recorded.md).

-- NULL: recorded before this revision, or by somebody else's SQL. Without a default, so that no stored row is written.
ALTER TABLE market_data.bars_1m ADD COLUMN recorded_at TIMESTAMPTZ;
ALTER TABLE market_data.bars_5m ADD COLUMN recorded_at TIMESTAMPTZ;
ALTER TABLE market_data.bars_1h ADD COLUMN recorded_at TIMESTAMPTZ;
ALTER TABLE market_data.bars_1d ADD COLUMN recorded_at TIMESTAMPTZ;
ALTER TABLE market_data.indicators_1m ADD COLUMN recorded_at TIMESTAMPTZ;
ALTER TABLE market_data.indicators_5m ADD COLUMN recorded_at TIMESTAMPTZ;
ALTER TABLE market_data.indicators_1h ADD COLUMN recorded_at TIMESTAMPTZ;
ALTER TABLE market_data.indicators_1d ADD COLUMN recorded_at TIMESTAMPTZ;
DO $$
DECLARE
    length text;
    kind text;
BEGIN
    FOREACH length IN ARRAY ARRAY['1m', '5m', '1h', '1d'] LOOP
        FOREACH kind IN ARRAY ARRAY['bars', 'indicators'] LOOP
            EXECUTE format(
                'ALTER TABLE market_data.%1$s_%2$s ADD CONSTRAINT %1$s_%2$s_recorded'
                ' CHECK (recorded_at >= ''0001-01-01 00:00:00+00'' AND recorded_at < ''10000-01-01 00:00:00+00'')', kind, length);
        END LOOP;
        EXECUTE format('COMMENT ON COLUMN market_data.bars_%s.recorded_at IS %L', length,
            'When the platform stored this version of the bar; NULL: before it kept that, or written by other SQL');
        EXECUTE format('COMMENT ON COLUMN market_data.indicators_%s.recorded_at IS %L', length,
            'When the platform stored this version of the row; NULL: before it kept that, or written by other SQL');
    END LOOP;
END;
$$;

CREATE TABLE market_data.revisions_kept (
    since   TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
            CHECK (since >= '0001-01-01 00:00:00+00' AND since < '10000-01-01 00:00:00+00'),
    is_only BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (is_only)
);
INSERT INTO market_data.revisions_kept DEFAULT VALUES;
COMMENT ON TABLE market_data.revisions_kept IS 'One row: from when on replaced rows are kept, so that earlier states cannot be read';
COMMENT ON COLUMN market_data.revisions_kept.since IS 'The time of the upgrade';
COMMENT ON COLUMN market_data.revisions_kept.is_only IS 'Keeps the table to one row';

CREATE TABLE market_data.bar_revisions (
    symbol      VARCHAR(20) NOT NULL,
    timeframe   VARCHAR(10) NOT NULL CHECK (timeframe IN ('1m', '5m', '1h', '1d')),
    time        TIMESTAMPTZ NOT NULL,
    open        DECIMAL(18,8),
    high        DECIMAL(18,8),
    low         DECIMAL(18,8),
    close       DECIMAL(18,8),
    volume      DECIMAL(24,8),
    source      VARCHAR(20),
    quality     VARCHAR(10) NOT NULL,
    recorded_at TIMESTAMPTZ,
    replaced_at TIMESTAMPTZ NOT NULL,
    reason      TEXT NOT NULL,
    PRIMARY KEY (symbol, timeframe, time, replaced_at)
);
CREATE INDEX bar_revisions_replaced ON market_data.bar_revisions (symbol, timeframe, replaced_at);
COMMENT ON TABLE market_data.bar_revisions IS 'Bars as they were before they were replaced or deleted; rows are only added';
COMMENT ON COLUMN market_data.bar_revisions.recorded_at IS 'When this version was stored; NULL: before the platform kept that, or written by other SQL';
COMMENT ON COLUMN market_data.bar_revisions.replaced_at IS 'When it was replaced or deleted';
COMMENT ON COLUMN market_data.bar_revisions.reason IS 'Why, as text: what wrote the new version';

CREATE TABLE market_data.indicator_revisions (
    symbol      VARCHAR(20) NOT NULL,
    timeframe   VARCHAR(10) NOT NULL CHECK (timeframe IN ('1m', '5m', '1h', '1d')),
    time        TIMESTAMPTZ NOT NULL,
    sma_20      DOUBLE PRECISION,
    sma_50      DOUBLE PRECISION,
    sma_200     DOUBLE PRECISION,
    ema_12      DOUBLE PRECISION,
    ema_26      DOUBLE PRECISION,
    rsi_14      DOUBLE PRECISION,
    macd_line   DOUBLE PRECISION,
    macd_signal DOUBLE PRECISION,
    macd_hist   DOUBLE PRECISION,
    atr_14      DOUBLE PRECISION,
    bb_upper    DOUBLE PRECISION,
    bb_middle   DOUBLE PRECISION,
    bb_lower    DOUBLE PRECISION,
    adx_14      DOUBLE PRECISION,
    recorded_at TIMESTAMPTZ,
    replaced_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (symbol, timeframe, time, replaced_at)
);
CREATE INDEX indicator_revisions_replaced ON market_data.indicator_revisions (symbol, timeframe, replaced_at);
COMMENT ON TABLE market_data.indicator_revisions IS 'Indicators as they were before they were computed again with another result; rows are only added';
COMMENT ON COLUMN market_data.indicator_revisions.recorded_at IS 'When this version was stored; NULL: before the platform kept that, or written by other SQL';
COMMENT ON COLUMN market_data.indicator_revisions.replaced_at IS 'When it was replaced or deleted';

-- The other columns mean what they mean in the tables of the rows.
DO $$
DECLARE
    item record;
BEGIN
    FOR item IN
        SELECT attrelid::regclass AS relation, attname,
               CASE attname WHEN 'symbol' THEN 'Instrument, in the platform''s spelling' WHEN 'timeframe' THEN 'Length of the bar'
                            WHEN 'time' THEN 'Open of the bar' ELSE 'Of the row that was replaced' END AS meaning
        FROM pg_attribute
        WHERE attrelid IN ('market_data.bar_revisions'::regclass, 'market_data.indicator_revisions'::regclass)
          AND attnum > 0 AND col_description(attrelid, attnum) IS NULL
    LOOP
        EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', item.relation, item.attname, item.meaning);
    END LOOP;
END;
$$;

CREATE TABLE market_data.corporate_action_revisions (
    LIKE market_data.corporate_actions INCLUDING COMMENTS,
    replaced_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (symbol, ex_date, kind, replaced_at)
);
COMMENT ON TABLE market_data.corporate_action_revisions IS 'Splits and dividends as they were before they were corrected or removed; rows are only added';
COMMENT ON COLUMN market_data.corporate_action_revisions.changed_at IS 'When this version was stored';
COMMENT ON COLUMN market_data.corporate_action_revisions.replaced_at IS 'When it was corrected or removed';

-- Readers in Python and Arrow end with the year 9999; prices of the views are DECIMAL(18,8).
ALTER TABLE market_data.bar_revisions ADD CONSTRAINT bar_revisions_readable CHECK (
    time >= '1800-01-01 00:00:00+00' AND time < '2200-01-01 00:00:00+00'
    AND recorded_at >= '0001-01-01 00:00:00+00' AND recorded_at < '10000-01-01 00:00:00+00'
    AND replaced_at >= '0001-01-01 00:00:00+00' AND replaced_at < '10000-01-01 00:00:00+00'
    AND open <> 'NaN' AND high <> 'NaN' AND low <> 'NaN' AND close <> 'NaN' AND volume <> 'NaN');
ALTER TABLE market_data.indicator_revisions ADD CONSTRAINT indicator_revisions_readable CHECK (
    time >= '1800-01-01 00:00:00+00' AND time < '2200-01-01 00:00:00+00'
    AND recorded_at >= '0001-01-01 00:00:00+00' AND recorded_at < '10000-01-01 00:00:00+00'
    AND replaced_at >= '0001-01-01 00:00:00+00' AND replaced_at < '10000-01-01 00:00:00+00'
    AND GREATEST(sma_20, sma_50, sma_200, ema_12, ema_26, rsi_14, macd_line, macd_signal, macd_hist, atr_14, bb_upper,
                 bb_middle, bb_lower, adx_14) < 1e10
    AND LEAST(sma_20, sma_50, sma_200, ema_12, ema_26, rsi_14, macd_line, macd_signal, macd_hist, atr_14, bb_upper,
              bb_middle, bb_lower, adx_14) > -1e10);
ALTER TABLE market_data.corporate_action_revisions ADD CONSTRAINT corporate_action_revisions_readable CHECK (
    ex_date >= '0001-01-01 00:00:00+00' AND ex_date < '10000-01-01 00:00:00+00'
    AND known_at >= '0001-01-01 00:00:00+00' AND known_at < '10000-01-01 00:00:00+00'
    AND changed_at >= '0001-01-01 00:00:00+00' AND changed_at < '10000-01-01 00:00:00+00'
    AND replaced_at >= '0001-01-01 00:00:00+00' AND replaced_at < '10000-01-01 00:00:00+00'
    AND amount <> 'NaN' AND close_before <> 'NaN' AND new_shares <= 1000000000 AND old_shares <= 1000000000);

-- Whoever corrects or removes an action, its earlier version stays.
CREATE FUNCTION market_data.keep_corporate_action() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO market_data.corporate_action_revisions
        (symbol, ex_date, kind, new_shares, old_shares, amount, currency, source, known_at, changed_at, close_before, replaced_at)
    VALUES (OLD.symbol, OLD.ex_date, OLD.kind, OLD.new_shares, OLD.old_shares, OLD.amount, OLD.currency, OLD.source,
            OLD.known_at, OLD.changed_at, OLD.close_before, CASE WHEN TG_OP = 'UPDATE' THEN NEW.changed_at ELSE clock_timestamp() END)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION market_data.keep_corporate_action IS 'Keeps a split or dividend as it was before it is corrected or removed';
CREATE TRIGGER corporate_actions_revisions AFTER UPDATE OR DELETE ON market_data.corporate_actions
    FOR EACH ROW EXECUTE FUNCTION market_data.keep_corporate_action();

CREATE FUNCTION market_data.expire_revisions(present timestamptz) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH held AS MATERIALIZED (
        SELECT timeframe, market_data.held(timeframe, least(present, clock_timestamp())) AS span
        FROM unnest(ARRAY['1m', '5m', '1h', '1d']) AS timeframe
    ), bars AS (
        DELETE FROM market_data.bar_revisions AS revision USING held
        WHERE held.timeframe = revision.timeframe AND NOT revision.time <@ held.span
        RETURNING 1
    ), indicators AS (
        DELETE FROM market_data.indicator_revisions AS revision USING held
        WHERE held.timeframe = revision.timeframe AND NOT revision.time <@ held.span
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM bars) + (SELECT count(*) FROM indicators)
$$;
COMMENT ON FUNCTION market_data.expire_revisions IS 'Deletes the revisions of bars and indicators dropped because of their age, and returns how many';

-- Rows are only added: retention deletes them, in a function of the owner.
ALTER FUNCTION config.grant_roles() RENAME TO grant_roles_by_schema;
COMMENT ON FUNCTION config.grant_roles_by_schema IS 'Grants what the roles have of all tables of a schema; called by config.grant_roles';
CREATE FUNCTION config.grant_roles() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM config.grant_roles_by_schema();
    REVOKE UPDATE, DELETE ON market_data.bar_revisions, market_data.indicator_revisions,
        market_data.corporate_action_revisions FROM ingest;
    REVOKE INSERT, UPDATE, DELETE ON market_data.revisions_kept FROM ingest;
END;
$$;
COMMENT ON FUNCTION config.grant_roles IS 'Grants the roles ingest, agent and dashboard their privileges, including on objects created since';
DO $$ BEGIN PERFORM config.grant_roles(); END $$;
GRANT EXECUTE ON FUNCTION market_data.expire_revisions TO ingest;
