-- Who may do what: docs/roles.md, and docs/decisions/0015-roles.md for the reasons.
-- A revision that makes tables or functions calls config.grant_roles() at its end; one that gives a role
-- more, or less, replaces that function.

-- Roles are the cluster's, so another database of it may have them, or be getting them at this moment. The
-- owner may act as each of them; a superuser may anyway.
DO $$
DECLARE
    role text;
    knows_set CONSTANT boolean := current_setting('server_version_num')::integer >= 160000;
BEGIN
    FOREACH role IN ARRAY ARRAY['ingest', 'agent', 'dashboard'] LOOP
        IF to_regrole(role) IS NULL THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I LOGIN', role);
            EXCEPTION
                WHEN duplicate_object OR unique_violation THEN NULL;
                WHEN insufficient_privilege THEN
                    RAISE insufficient_privilege USING
                        MESSAGE = format('the role %s is missing and %s may not create it', role, current_user),
                        HINT = format('CREATE ROLE ingest LOGIN; CREATE ROLE agent LOGIN; CREATE ROLE dashboard LOGIN;'
                            ' GRANT ingest, agent, dashboard TO %I;', current_user);
            END;
        END IF;
        CONTINUE WHEN pg_has_role(current_user, role, CASE WHEN knows_set THEN 'SET' ELSE 'MEMBER' END);
        BEGIN
            EXECUTE format('GRANT %I TO %I', role, current_user)
                || CASE WHEN knows_set THEN ' WITH SET TRUE, INHERIT FALSE' ELSE '' END;
        EXCEPTION
            WHEN unique_violation OR internal_error THEN NULL;  -- granted at this moment for another database
            WHEN insufficient_privilege THEN NULL;  -- then the roles log in with passwords of their own
        END;
    END LOOP;
END;
$$;

CREATE FUNCTION config.grant_roles() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    ours CONSTANT text := 'market_data, features, news, trading, audit, config';
    item text;
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
    END IF;

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

    -- A second belt for dashboard, which can loosen it: what it cannot loosen is that nothing else is granted.
    IF NOT EXISTS (
        SELECT FROM pg_db_role_setting
        WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND setrole = 'dashboard'::regrole AND 'default_transaction_read_only=on' = ANY(setconfig)
    ) THEN
        BEGIN
            EXECUTE format(
                'ALTER ROLE dashboard IN DATABASE %I SET default_transaction_read_only = on', current_database());
        EXCEPTION
            WHEN insufficient_privilege THEN NULL;  -- an administrator made the role and kept it
        END;
    END IF;

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
    GRANT SELECT, UPDATE (seq, published_at), DELETE ON trading.outbox TO ingest;
    GRANT SELECT, INSERT ON audit.system_events TO ingest;
    GRANT USAGE ON SEQUENCE audit.system_events_id_seq TO ingest;

    -- agent: the ledger, by the columns that sql/queries/ledger writes, and the audit trail, never changed.
    GRANT SELECT ON config.instruments TO agent;
    GRANT SELECT, INSERT, UPDATE ON config.strategies, config.risk_limits TO agent;
    GRANT SELECT, INSERT ON trading.orders, trading.trades, trading.position_history TO agent;
    GRANT UPDATE (status, broker_order_id, filled_qty, avg_fill_price, commission, filled_at) ON trading.orders TO agent;
    GRANT UPDATE (quantity, cost, realized_pnl, opened_at) ON trading.position_history TO agent;
    GRANT SELECT, INSERT (symbol) ON trading.positions TO agent;
    GRANT UPDATE (quantity, avg_entry_price, current_price, unrealized_pnl, realized_pnl, opened_at)
        ON trading.positions TO agent;
    GRANT INSERT (order_id, payload) ON trading.outbox TO agent;
    GRANT SELECT, INSERT ON audit.decisions, audit.system_events TO agent;
    GRANT USAGE ON SEQUENCE audit.system_events_id_seq TO agent;
END;
$$;
COMMENT ON FUNCTION config.grant_roles IS 'Gives the roles ingest, agent and dashboard what they need, again for what was made since';
DO $$ BEGIN PERFORM config.grant_roles(); END $$;
