-- Nothing that one role can insert stops another from reading: docs/decisions/0047-rows-that-cannot-be-read.md. What the
-- roles may do besides, and for how long: docs/decisions/0048-limits-of-roles.md.

-- Rows set aside, and months archived: only the owner writes them ----------------------------------------------------

CREATE TABLE audit.set_aside (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    set_aside_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    relation     TEXT NOT NULL,
    reason       TEXT NOT NULL,
    record       TEXT NOT NULL
);
COMMENT ON TABLE audit.set_aside IS 'Rows taken out of a table because nobody could read them, or because they have the key of an archived row';
COMMENT ON COLUMN audit.set_aside.id IS 'Order of insertion';
COMMENT ON COLUMN audit.set_aside.set_aside_at IS 'When the row was taken out';
COMMENT ON COLUMN audit.set_aside.relation IS 'The table it was in';
COMMENT ON COLUMN audit.set_aside.reason IS 'Why, as text';
COMMENT ON COLUMN audit.set_aside.record IS 'The row, as JSON';

CREATE TABLE audit.archived_months (
    table_name  TEXT NOT NULL CHECK (table_name IN ('decisions', 'system_events')),
    month       TEXT NOT NULL CHECK (month ~ '^[0-9]{4}-(0[1-9]|1[0-2])$' AND month >= '0001'),
    archived_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (table_name, month)
);
COMMENT ON TABLE audit.archived_months IS 'The months whose rows are in files of the archive';
COMMENT ON COLUMN audit.archived_months.table_name IS 'The table of the rows: decisions or system_events';
COMMENT ON COLUMN audit.archived_months.month IS 'Their month, by UTC: 2024-05';
COMMENT ON COLUMN audit.archived_months.archived_at IS 'When the month was archived last';
-- Until now events told which these are, which any role can write: at least they have the form.
INSERT INTO audit.archived_months (table_name, month, archived_at)
SELECT metadata ->> 'table', metadata ->> 'month', max("timestamp")
FROM audit.system_events
WHERE event_type = 'month_archived' AND component = 'archive' AND isfinite("timestamp")
  AND metadata ->> 'table' IN ('decisions', 'system_events') AND metadata ->> 'month' ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'
  AND metadata ->> 'month' BETWEEN '0001' AND to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM')
GROUP BY 1, 2;

-- Messages that cannot be published ----------------------------------------------------------------------------------

ALTER TABLE trading.outbox ADD COLUMN fault TEXT;
COMMENT ON COLUMN trading.outbox.fault IS 'Why it cannot be published; NULL: it can. The publisher sets such a message aside, without a number';
ALTER TABLE trading.outbox ADD CONSTRAINT outbox_without_number_where_faulty CHECK (fault IS NULL OR seq IS NULL);

-- What the present bounds --------------------------------------------------------------------------------------------

-- A time far in the future would stay the newest until then. An hour is more than clocks differ, and less than most
-- mistakes of a time zone are.
CREATE OR REPLACE FUNCTION trading.guard_trade() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM trading.orders AS placed
        WHERE placed.id = NEW.order_id
          AND (placed.symbol, placed.side, placed.broker) = (NEW.symbol, NEW.side, NEW.broker)
    ) THEN
        RAISE EXCEPTION 'fill % has another symbol, side or broker than order %', NEW.id, NEW.order_id
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.executed_at > clock_timestamp() + interval '1 hour' THEN
        RAISE EXCEPTION 'the execution % is later than the clock of the database (%)', NEW.executed_at, clock_timestamp()
            USING ERRCODE = 'check_violation', CONSTRAINT = 'not_in_future';
    END IF;
    RETURN NEW;
END;
$$;

CREATE FUNCTION trading.guard_position_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM trading.trades AS fill
        WHERE fill.id = NEW.trade_id AND (fill.symbol, fill.executed_at) = (NEW.symbol, NEW.executed_at)
    ) THEN
        RAISE EXCEPTION 'fill % has another symbol or time than the position after it', NEW.trade_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END;
$$;
COMMENT ON FUNCTION trading.guard_position_history IS 'Lets a position stand only at the time of its fill';
CREATE TRIGGER position_history_guard BEFORE INSERT ON trading.position_history
    FOR EACH ROW EXECUTE FUNCTION trading.guard_position_history();

CREATE FUNCTION audit.guard_time() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW."timestamp" > clock_timestamp() + interval '1 hour' THEN
        RAISE EXCEPTION 'the time % is later than the clock of the database (%)', NEW."timestamp", clock_timestamp()
            USING ERRCODE = 'check_violation', CONSTRAINT = 'not_in_future';
    END IF;
    RETURN NEW;
END;
$$;
COMMENT ON FUNCTION audit.guard_time IS 'Rejects what is said to happen more than an hour from now';
CREATE TRIGGER decisions_guard_time BEFORE INSERT ON audit.decisions
    FOR EACH ROW EXECUTE FUNCTION audit.guard_time();
CREATE TRIGGER system_events_guard_time BEFORE INSERT ON audit.system_events
    FOR EACH ROW EXECUTE FUNCTION audit.guard_time();

-- A fill leaves trading.trades by this function alone, because the right to delete is the right to lock the table.
CREATE FUNCTION trading.remove_replaced_trade(of_id uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DELETE FROM trading.trades WHERE id = of_id
$$;
COMMENT ON FUNCTION trading.remove_replaced_trade IS 'Takes a fill out of those that count; it must be in trading.replaced_trades';

-- And so do published messages leave the outbox, and those set aside. The newest number stays, because numbering
-- continues from it. It reads the whole table, which has few messages older than that.
CREATE FUNCTION trading.prune_outbox(age interval) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH removed AS (
        DELETE FROM trading.outbox
        WHERE published_at < clock_timestamp() - age AND seq < (SELECT max(seq) FROM trading.outbox)
           OR fault IS NOT NULL AND created_at < clock_timestamp() - age
        RETURNING 1
    )
    SELECT count(*) FROM removed
$$;
COMMENT ON FUNCTION trading.prune_outbox IS 'Deletes messages published or set aside longer ago than an age, except the newest number, and counts them';

-- The next partitions wait for no role: who holds a lock on the orders would stop all who write orders meanwhile.
ALTER FUNCTION audit.make_partition(text, text, timestamptz, timestamptz) SET lock_timeout = '2s';

-- Rows that can be read ----------------------------------------------------------------------------------------------

-- What a value of a column must be for every reader, by its type. Python's and Arrow's times end with the year 9999;
-- the views show prices and indicators as DECIMAL(18,8); Python reads integers of up to 4,300 digits, and JSON of some
-- hundreds of levels. market_data is written in bulk by the platform alone: its texts are limited where they arrive.
CREATE FUNCTION pg_temp.rule_of(of_table regclass, name text, kind text) RETURNS text LANGUAGE sql AS $$
    SELECT format(CASE
        WHEN name = 'timeframe' AND of_table::text !~ '^market_data\.(bars|indicators)_'
            THEN '%1$I IN (''1m'', ''5m'', ''1h'', ''1d'')'
        WHEN kind = 'timestamp with time zone' AND of_table::text ~ '^market_data\.(bars|indicators)_'
            THEN '%1$I >= ''1800-01-01 00:00:00+00'' AND %1$I < ''2200-01-01 00:00:00+00'''
        WHEN kind = 'timestamp with time zone'
            THEN '%1$I >= ''0001-01-01 00:00:00+00'' AND %1$I < ''10000-01-01 00:00:00+00'''
        WHEN kind = 'tstzrange'
            THEN 'NOT isempty(%1$I) AND %1$I <@ tstzrange(''0001-01-01 00:00:00+00'', ''9999-12-31 00:00:00+00'')'
        WHEN kind = 'tstzmultirange'
            THEN '%1$I <@ tstzrange(''0001-01-01 00:00:00+00'', ''9999-12-31 00:00:00+00'')'
        WHEN kind = 'numeric' THEN '%1$I > ''-Infinity'' AND %1$I < ''Infinity'''  -- NaN is above Infinity
        WHEN kind LIKE 'numeric(%%' THEN '%1$I <> ''NaN'''  -- precision excludes infinity
        WHEN kind = 'jsonb' THEN
            'NOT jsonb_path_exists(%1$I, ''$.**{100 to last}'')'
            ' AND NOT jsonb_path_exists(%1$I, ''$.** ? (@.type() == "number" && (@ >= 1e4000 || @ <= -1e4000))'')'
            || CASE WHEN of_table::text LIKE 'market_data.%%' THEN '' ELSE ' AND octet_length(%1$I::text) <= 1000000' END
        WHEN kind = 'text' AND of_table::text NOT LIKE 'market_data.%%' THEN 'octet_length(%1$I) <= 1000000'
        WHEN kind = 'text[]' THEN
            'COALESCE(array_ndims(%1$I), 1) = 1 AND array_position(%1$I, NULL) IS NULL'
            ' AND octet_length(%1$I::text) <= 100000'
        END, name)
$$;

-- What else a table needs. Its floats are compared together, which costs half of what one comparison each does.
CREATE FUNCTION pg_temp.rules_besides(of_table regclass) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT format('GREATEST(%1$s) < 1e10 AND LEAST(%1$s) > -1e10', string_agg(quote_ident(attname), ', ' ORDER BY attnum))
    FROM pg_attribute
    WHERE attrelid = of_table AND attnum > 0 AND NOT attisdropped AND atttypid = 'double precision'::regtype
    HAVING count(*) > 0
    UNION ALL
    SELECT CASE of_table::text
        -- What was published is past, and the newest number has to stay.
        WHEN 'trading.outbox'
            THEN '(published_at IS NOT NULL OR COALESCE(payload #>> ''{order,id}'' = order_id::text, FALSE))'
        WHEN 'trading.positions' THEN 'symbol ~ ''^[A-Z0-9][A-Z0-9.-]*$'''
        WHEN 'audit.decisions' THEN 'symbol ~ ''^[A-Z0-9][A-Z0-9.-]*$'''
        WHEN 'config.instruments' THEN 'benchmark ~ ''^[A-Z0-9][A-Z0-9.-]*$'''
        WHEN 'market_data.corporate_actions' THEN 'new_shares <= 1000000000 AND old_shares <= 1000000000'
    END
$$;

-- One constraint a table. Rows of before that break it are taken out where they can be, because they cannot be read,
-- and kept in audit.set_aside; the ledger and the configuration keep them, and the constraint stays NOT VALID.
DO $$
DECLARE
    item record;
    place text;
    broken bigint;
    said text;
BEGIN
    FOR item IN
        SELECT relation.oid::regclass AS name, relation.relname,
               concat_ws(
                   ' AND ', string_agg(rule, ' AND ' ORDER BY attnum),
                   (SELECT string_agg(further, ' AND ') FROM pg_temp.rules_besides(relation.oid) AS further)) AS rule,
               schema.nspname IN ('market_data', 'audit', 'news', 'features') OR relation.relname = 'outbox' AS is_movable
        FROM pg_class AS relation
        JOIN pg_namespace AS schema ON schema.oid = relation.relnamespace
        JOIN pg_attribute ON attrelid = relation.oid AND attnum > 0 AND NOT attisdropped
        CROSS JOIN LATERAL pg_temp.rule_of(relation.oid, attname, format_type(atttypid, atttypmod)) AS rule
        WHERE schema.nspname IN ('market_data', 'features', 'news', 'trading', 'audit', 'config')
          AND relation.relkind IN ('r', 'p') AND NOT relation.relispartition
          -- The owner's own.
          AND relation.oid::regclass::text NOT IN (
              'audit.set_aside', 'audit.archived_months', 'config.retention', 'market_data.aggregates',
              'market_data.ohlcv_1h_stored', 'market_data.ohlcv_1h_changes')
        GROUP BY relation.oid, schema.nspname
        ORDER BY relation.oid
    LOOP
        place := format('ALTER TABLE %s ADD CONSTRAINT %I CHECK (%s)', item.name, item.relname || '_readable', item.rule);
        BEGIN
            EXECUTE place;
            CONTINUE;
        EXCEPTION
            WHEN check_violation THEN NULL;
        END;
        IF item.relname = 'outbox' THEN
            -- Messages after one that could not be published were not published either, and get the next numbers again.
            EXECUTE format(
                'UPDATE trading.outbox SET seq = NULL WHERE published_at IS NULL AND seq > ('
                'SELECT min(seq) FROM trading.outbox WHERE published_at IS NULL AND NOT (%s))', item.rule);
        END IF;
        IF item.is_movable THEN
            EXECUTE format(
                'WITH gone AS (DELETE FROM %1$s WHERE NOT (%2$s) RETURNING *)'
                ' INSERT INTO audit.set_aside (relation, reason, record)'
                ' SELECT %1$L, %3$L, to_jsonb(gone)::text FROM gone',
                item.name, item.rule, format('It broke the rule %s_readable when the rule was added.', item.relname));
            GET DIAGNOSTICS broken = ROW_COUNT;
            EXECUTE place;
            said := format('%s rows of %s cannot be read and are in audit.set_aside.', broken, item.name);
        ELSE
            EXECUTE place || ' NOT VALID';
            EXECUTE format('SELECT count(*) FROM %s WHERE NOT (%s)', item.name, item.rule) INTO broken;
            said := format('%s rows of %s cannot be read, and lists leave them out.', broken, item.name);
        END IF;
        INSERT INTO audit.system_events (event_type, severity, component, message, metadata)
        VALUES ('rows_unreadable', 'error', 'schema', said, jsonb_build_object('relation', item.name::text, 'rows', broken));
    END LOOP;
END;
$$;
DROP FUNCTION pg_temp.rule_of, pg_temp.rules_besides;

-- Who may -------------------------------------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION config.grant_roles() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    ours CONSTANT text := 'market_data, features, news, trading, audit, config';
    owner CONSTANT text := (SELECT datdba::regrole::text FROM pg_database WHERE datname = current_database());
    item text;
    setting record;
BEGIN
    -- What everybody has by default.
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO ingest, agent, dashboard', current_database());
    REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    EXECUTE format('REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA %s FROM PUBLIC', ours);
    EXECUTE format('REVOKE EXECUTE ON ALL PROCEDURES IN SCHEMA %s FROM PUBLIC', ours);
    IF current_setting('is_superuser') = 'on' THEN
        -- Large objects would be a place to write that no table's privileges close.
        REVOKE EXECUTE ON FUNCTION lo_create(oid), lo_creat(integer), lo_from_bytea(oid, bytea) FROM PUBLIC;
        -- Who holds an advisory lock of the publisher, the stream or an upgrade stops them.
        FOR item IN
            SELECT oid::regprocedure::text FROM pg_proc
            WHERE pronamespace = 'pg_catalog'::regnamespace AND proname ~ '^pg_(try_)?advisory_(xact_)?lock'
        LOOP
            EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', item);
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO ingest, %I', item, owner);
        END LOOP;
    END IF;
    -- TimescaleDB lets everybody schedule jobs, which run in the background without a limit on their time.
    FOR item IN
        SELECT routine.oid::regprocedure::text
        FROM pg_extension AS extension
        JOIN pg_depend ON refclassid = 'pg_extension'::regclass AND refobjid = extension.oid
            AND classid = 'pg_proc'::regclass AND deptype = 'e'
        JOIN pg_proc AS routine ON routine.oid = objid
        WHERE extname = 'timescaledb' AND pg_has_role(CURRENT_USER, routine.proowner, 'USAGE')
          AND routine.proname ~ '^((add|alter|delete|run)_job|(add|alter|remove)_.*polic(y|ies)$)'
    LOOP
        EXECUTE format('REVOKE EXECUTE ON ROUTINE %s FROM PUBLIC', item);
        EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %I', item, owner);
    END LOOP;

    EXECUTE format('GRANT USAGE ON SCHEMA %s TO ingest, agent, dashboard', ours);
    GRANT SELECT ON public.alembic_version TO ingest, agent, dashboard;

    -- Partitions are left out: the privileges of the table they belong to are the ones that count.
    FOR item IN
        SELECT format('%I.%I', schema.nspname, relation.relname)
        FROM pg_class AS relation
        JOIN pg_namespace AS schema ON schema.oid = relation.relnamespace
        WHERE schema.nspname = ANY(string_to_array(ours, ', '))
          AND relation.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT relation.relispartition
    LOOP
        EXECUTE format('GRANT SELECT ON %s TO dashboard', item);
        IF split_part(item, '.', 1) IN ('market_data', 'features', 'news') THEN
            EXECUTE format('GRANT SELECT ON %s TO ingest, agent', item);
        END IF;
    END LOOP;
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %s GRANT SELECT ON TABLES TO dashboard', ours);

    -- What a session begins with; docs/roles.md has the reasons. A session can loosen it, except temp_file_limit: what
    -- it cannot loosen is that nothing else is granted. What an administrator has set stays.
    FOR setting IN
        SELECT role, split_part(assigned, '=', 1) AS name, split_part(assigned, '=', 2) AS value
        FROM (VALUES
            ('dashboard', 'default_transaction_read_only=on'),
            ('ingest', 'statement_timeout=1h'), ('agent', 'statement_timeout=5min'), ('dashboard', 'statement_timeout=10min'),
            ('ingest', 'lock_timeout=10min'), ('agent', 'lock_timeout=30s'), ('dashboard', 'lock_timeout=30s'),
            ('ingest', 'idle_in_transaction_session_timeout=10min'),
            ('agent', 'idle_in_transaction_session_timeout=1min'),
            ('dashboard', 'idle_in_transaction_session_timeout=1min'),
            ('agent', 'temp_file_limit=4GB'), ('dashboard', 'temp_file_limit=4GB')) AS wanted (role, assigned)
        WHERE NOT EXISTS (
            SELECT FROM pg_db_role_setting, unnest(setconfig) AS present
            WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
              AND setrole = to_regrole(role) AND split_part(present, '=', 1) = split_part(assigned, '=', 1))
    LOOP
        BEGIN
            EXECUTE format('ALTER ROLE %I IN DATABASE %I SET %I = %L',
                           setting.role, current_database(), setting.name, setting.value);
        EXCEPTION
            WHEN insufficient_privilege THEN NULL;  -- an administrator made the role and kept it
        END;
    END LOOP;

    -- ingest: market data, news and the feature catalog are its work; of the ledger it only tells.
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO ingest', current_database());
    FOR item IN
        SELECT format('%I.%I', schema.nspname, relation.relname)
        FROM pg_class AS relation
        JOIN pg_namespace AS schema ON schema.oid = relation.relnamespace
        WHERE schema.nspname IN ('market_data', 'features', 'news')
          AND relation.relkind IN ('r', 'p') AND NOT relation.relispartition
          -- What a later revision keeps the hourly aggregate in; its triggers and functions write there, as the owner.
          AND relation.relname NOT IN ('ohlcv_1h_stored', 'ohlcv_1h_changes', 'aggregates')
    LOOP
        EXECUTE format('GRANT INSERT, UPDATE, DELETE ON %s TO ingest', item);
    END LOOP;
    GRANT SELECT, INSERT, UPDATE, DELETE ON config.instruments TO ingest;
    REVOKE DELETE ON trading.outbox FROM ingest;
    GRANT SELECT, UPDATE (seq, published_at, fault) ON trading.outbox TO ingest;
    GRANT EXECUTE ON FUNCTION trading.prune_outbox TO ingest;
    -- Not the id: it would be a way to write the key of another event, or of an archived one.
    REVOKE INSERT ON audit.system_events FROM ingest, agent;
    GRANT SELECT, INSERT ("timestamp", event_type, severity, component, message, metadata)
        ON audit.system_events TO ingest, agent;
    GRANT USAGE ON SEQUENCE audit.system_events_id_seq TO ingest, agent;
    GRANT SELECT ON audit.archived_months TO ingest, agent;

    -- agent: the ledger, by the columns that sql/queries/trading writes, and the audit trail, never changed. Who may
    -- update or delete in a whole table may also lock it against everybody, so neither is granted.
    GRANT SELECT ON config.instruments TO agent;
    REVOKE UPDATE ON config.strategies, config.risk_limits FROM agent;
    REVOKE DELETE ON trading.trades FROM agent;
    GRANT SELECT, INSERT ON config.strategies, config.risk_limits, trading.replaced_trades TO agent;
    GRANT UPDATE (name, enabled, params, allowed_symbols, regime_filter, max_positions) ON config.strategies TO agent;
    GRANT UPDATE (value, description, updated_by) ON config.risk_limits TO agent;
    GRANT EXECUTE ON FUNCTION trading.remove_replaced_trade TO agent;
    GRANT SELECT, INSERT ON trading.orders, trading.trades, trading.position_history TO agent;
    GRANT UPDATE (status, broker_order_id, filled_qty, avg_fill_price, commission, filled_at) ON trading.orders TO agent;
    GRANT UPDATE (quantity, cost, realized_pnl, opened_at) ON trading.position_history TO agent;
    GRANT SELECT, INSERT (symbol) ON trading.positions TO agent;
    GRANT UPDATE (quantity, avg_entry_price, current_price, unrealized_pnl, realized_pnl, opened_at)
        ON trading.positions TO agent;
    GRANT INSERT (order_id, payload) ON trading.outbox TO agent;
    GRANT SELECT, INSERT ON audit.decisions TO agent;
END;
$$;
DO $$ BEGIN PERFORM config.grant_roles(); END $$;
