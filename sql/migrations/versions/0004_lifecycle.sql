-- The life of bars and indicators (data-architecture §3.1) and the hourly aggregate (§3.3). Where TimescaleDB is there
-- in its community edition, the tables become hypertables under its own policies; elsewhere they are partitioned by
-- the same ranges, and market_data.drop_expired does what the policies would:
-- docs/decisions/0017-retention-by-chunks.md.

CREATE TABLE config.lifecycle (
    table_name     VARCHAR(30) PRIMARY KEY,
    timeframe      VARCHAR(10) NOT NULL,
    chunk          INTERVAL NOT NULL,
    compress_after INTERVAL NOT NULL,
    keep           INTERVAL
);
COMMENT ON TABLE config.lifecycle IS 'How long each table keeps its rows; whole chunks are compressed and dropped, so a row may live one chunk longer';
COMMENT ON COLUMN config.lifecycle.table_name IS 'Table in market_data';
COMMENT ON COLUMN config.lifecycle.timeframe IS 'The timeframe whose rule it follows';
COMMENT ON COLUMN config.lifecycle.chunk IS 'Span of a chunk or partition; they begin at multiples of it since 1970-01-01 UTC';
COMMENT ON COLUMN config.lifecycle.compress_after IS 'Age at which a chunk is compressed, where the database can';
COMMENT ON COLUMN config.lifecycle.keep IS 'Age at which a chunk is dropped; NULL: never';

INSERT INTO config.lifecycle (table_name, timeframe, chunk, compress_after, keep)
SELECT kind || rule.timeframe, rule.timeframe, rule.chunk, rule.compress_after, rule.keep
FROM (VALUES
    ('1m', interval '7 days', interval '1 month', interval '6 months'),
    ('5m', interval '28 days', interval '3 months', interval '2 years'),
    ('1h', interval '84 days', interval '6 months', interval '5 years'),
    ('1d', interval '364 days', interval '1 year', NULL)
) AS rule (timeframe, chunk, compress_after, keep)
CROSS JOIN unnest(ARRAY['bars_', 'indicators_', 'ohlcv_']) AS kind
WHERE kind <> 'ohlcv_' OR rule.timeframe = '1h';

ALTER TABLE market_data.coverage ADD COLUMN expired TSTZMULTIRANGE NOT NULL DEFAULT '{}';
COMMENT ON TABLE market_data.coverage IS 'For which time each source has answered';
COMMENT ON COLUMN market_data.coverage.answered IS 'Answered for and still held: there, a slot without a bar is proven empty';
COMMENT ON COLUMN market_data.coverage.expired IS 'Answered for and dropped since, being older than is kept';

CREATE FUNCTION market_data.chunk_start(moment timestamptz, chunk interval) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT date_bin(chunk, moment, timestamptz '1970-01-01 00:00:00+00') $$;
COMMENT ON FUNCTION market_data.chunk_start IS 'Where the chunk that holds a moment begins';

-- Which back end ---------------------------------------------------------------------------------

CREATE FUNCTION market_data.uses_timescaledb() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT relkind <> 'p' FROM pg_class WHERE oid = 'market_data.bars_1m'::regclass
$$;
COMMENT ON FUNCTION market_data.uses_timescaledb IS 'Whether bars and indicators are hypertables; else they are partitioned tables';

CREATE FUNCTION pg_temp.has_timescaledb() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        -- Without being preloaded it would end the session, and who may not see whether it is may not make it either.
        IF NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')
           OR NOT pg_has_role(CURRENT_USER, 'pg_read_all_settings', 'USAGE')
           OR current_setting('shared_preload_libraries') NOT LIKE '%timescaledb%' THEN
            RETURN FALSE;
        END IF;
        CREATE EXTENSION timescaledb;
    END IF;
    -- The Apache edition has hypertables, but neither policies nor compression nor aggregates.
    RETURN current_setting('timescaledb.license', TRUE) = 'timescale';
END;
$$;

-- Plain PostgreSQL: partitions -------------------------------------------------------------------

CREATE FUNCTION market_data.make_partitions(of_table text, starts timestamptz[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    span interval := (SELECT chunk FROM config.lifecycle WHERE table_name = of_table);
    time_column text;
    first timestamptz;
    partition text;
    made integer := 0;
BEGIN
    IF span IS NULL THEN
        RAISE EXCEPTION 'config.lifecycle has no table %', of_table;
    END IF;
    SELECT attname INTO time_column
    FROM pg_partitioned_table AS parted JOIN pg_attribute ON attrelid = partrelid AND attnum = partattrs[0]
    WHERE partrelid = format('market_data.%I', of_table)::regclass;
    FOR first IN SELECT DISTINCT market_data.chunk_start(each, span) FROM unnest(starts) AS each ORDER BY 1 LOOP
        partition := of_table || to_char(first AT TIME ZONE 'UTC', '"_"YYYYMMDD');
        CONTINUE WHEN to_regclass(format('market_data.%I', partition)) IS NOT NULL;
        IF made = 0 THEN
            -- Writers must wait at the table itself: one that waited at its default partition would go on to
            -- write there what belongs into the new one, and be refused.
            EXECUTE format('LOCK TABLE ONLY market_data.%I IN SHARE ROW EXCLUSIVE MODE', of_table);
            EXECUTE format('LOCK TABLE market_data.%I IN ACCESS EXCLUSIVE MODE', of_table || '_default');
            CONTINUE WHEN to_regclass(format('market_data.%I', partition)) IS NOT NULL;
        END IF;
        EXECUTE format(
            'CREATE TABLE market_data.%I (LIKE market_data.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', partition, of_table);
        EXECUTE format(
            'WITH moved AS (DELETE FROM market_data.%1$I WHERE %2$I >= %3$L AND %2$I < %4$L RETURNING *)'
            ' INSERT INTO market_data.%5$I SELECT * FROM moved',
            of_table || '_default', time_column, first, first + span, partition);
        EXECUTE format(
            'ALTER TABLE market_data.%I ATTACH PARTITION market_data.%I FOR VALUES FROM (%L) TO (%L)',
            of_table, partition, first, first + span);
        EXECUTE format(
            'COMMENT ON TABLE market_data.%I IS %L', partition,
            format('Part of %s: %s until before %s, UTC', of_table,
                   (first AT TIME ZONE 'UTC')::date, ((first + span) AT TIME ZONE 'UTC')::date));
        made := made + 1;
    END LOOP;
    RETURN made;
END;
$$;
COMMENT ON FUNCTION market_data.make_partitions IS 'Makes the missing partitions that hold these moments and moves there what waits in the default one';

CREATE FUNCTION market_data.waiting(of_table text) RETURNS SETOF timestamptz
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT DISTINCT market_data.chunk_start(%s, %L) FROM market_data.%I',
        CASE WHEN of_table LIKE 'ohlcv%' THEN 'bucket' ELSE 'time' END,
        (SELECT chunk FROM config.lifecycle WHERE table_name = of_table), of_table || '_default');
END;
$$;
COMMENT ON FUNCTION market_data.waiting IS 'Starts of the chunks whose rows wait in the default partition of a table for one of their own';

CREATE FUNCTION market_data.make_partitions_ahead(present timestamptz) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT sum(market_data.make_partitions(
        table_name,
        ARRAY(SELECT present + chunk * ahead FROM generate_series(0, 2) AS ahead)
        || ARRAY(SELECT market_data.waiting(table_name))))
    FROM config.lifecycle
    WHERE NOT market_data.uses_timescaledb()
$$;
COMMENT ON FUNCTION market_data.make_partitions_ahead IS 'Makes the present partition of each table and the two that follow, and those for what waits in a default one';

CREATE FUNCTION market_data.drop_expired(present timestamptz)
RETURNS TABLE (table_name text, range_start timestamptz, range_end timestamptz, row_count bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '10s' AS $$
BEGIN
    IF market_data.uses_timescaledb() THEN
        RETURN;  -- its own policies do it
    END IF;
    FOR table_name, range_start, range_end IN
        SELECT chunk.table_name, chunk.range_start, chunk.range_end
        FROM market_data.chunks() AS chunk JOIN config.lifecycle AS rule ON rule.table_name = chunk.table_name
        WHERE chunk.range_end <= present - rule.keep
        ORDER BY 1, 2
    LOOP
        EXECUTE format('SELECT count(*) FROM market_data.%I', table_name || to_char(range_start AT TIME ZONE 'UTC', '"_"YYYYMMDD'))
            INTO row_count;
        EXECUTE format('DROP TABLE market_data.%I', table_name || to_char(range_start AT TIME ZONE 'UTC', '"_"YYYYMMDD'));
        RETURN NEXT;
    END LOOP;
    PERFORM market_data.note_expired(present);
END;
$$;
COMMENT ON FUNCTION market_data.drop_expired IS 'Without TimescaleDB: drops the partitions that are past their keep, and names them';

-- Both: what was answered for and is no longer held ------------------------------------------------

CREATE FUNCTION market_data.held(of_timeframe text, present timestamptz) RETURNS tstzmultirange
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    rule config.lifecycle%ROWTYPE;
    found tstzmultirange;
BEGIN
    SELECT * INTO rule FROM config.lifecycle WHERE table_name = 'bars_' || of_timeframe;
    IF rule.keep IS NULL THEN
        RETURN '{(,)}';
    END IF;
    SELECT range_agg(tstzrange(range_start, range_end)) INTO found
    FROM market_data.chunks() WHERE table_name = rule.table_name;
    found := COALESCE(found, '{}') + tstzmultirange(tstzrange(market_data.chunk_start(present - rule.keep, rule.chunk), NULL));
    IF NOT market_data.uses_timescaledb() THEN
        found := found + COALESCE(
            (SELECT range_agg(tstzrange(start, start + rule.chunk)) FROM market_data.waiting(rule.table_name) AS start), '{}');
    END IF;
    RETURN found;
END;
$$;
COMMENT ON FUNCTION market_data.held IS 'For which time the bars of a timeframe are there if they ever were: what is within its keep, and what is older and not dropped yet';

CREATE FUNCTION market_data.note_expired(present timestamptz) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH rule AS MATERIALIZED (
        SELECT timeframe, market_data.held(timeframe, present) AS held
        FROM config.lifecycle WHERE table_name LIKE 'bars_%' AND keep IS NOT NULL
    ), noted AS (
        UPDATE market_data.coverage AS known
        SET expired = known.expired + (known.answered - rule.held), answered = known.answered * rule.held
        FROM rule
        WHERE known.timeframe = rule.timeframe AND NOT known.answered <@ rule.held
        RETURNING 1
    )
    SELECT count(*) FROM noted
$$;
COMMENT ON FUNCTION market_data.note_expired IS 'Moves from answered to expired what is no longer held';

-- The bars and indicators there are ----------------------------------------------------------------

CREATE FUNCTION pg_temp.to_hypertable(of_table text, span interval) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM create_hypertable(
        format('market_data.%I', of_table)::regclass, by_range('time', span),
        create_default_indexes => FALSE, migrate_data => TRUE);
    EXECUTE format(
        'ALTER TABLE market_data.%I SET (timescaledb.compress, timescaledb.compress_segmentby = ''symbol'','
        ' timescaledb.compress_orderby = ''time DESC'')', of_table);
END;
$$;

CREATE FUNCTION pg_temp.to_partitions(of_table text, span interval) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    before text := of_table || '_before';
BEGIN
    EXECUTE format('ALTER TABLE market_data.%I RENAME TO %I', of_table, before);
    EXECUTE format(
        'CREATE TABLE market_data.%I (LIKE market_data.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS)'
        ' PARTITION BY RANGE (time)', of_table, before);
    EXECUTE format('COMMENT ON TABLE market_data.%I IS %L', of_table,
                   obj_description(format('market_data.%I', before)::regclass, 'pg_class'));
    EXECUTE format('CREATE TABLE market_data.%I PARTITION OF market_data.%I DEFAULT', of_table || '_default', of_table);
    EXECUTE format('COMMENT ON TABLE market_data.%I IS %L', of_table || '_default',
                   'Rows that came before the partition they belong to; market_data.make_partitions_ahead moves them there');
    EXECUTE format('SELECT market_data.make_partitions(%L, ARRAY(SELECT DISTINCT market_data.chunk_start(time, %L) FROM market_data.%I))',
                   of_table, span, before);
    EXECUTE format('INSERT INTO market_data.%I SELECT * FROM market_data.%I', of_table, before);
    EXECUTE format('DROP TABLE market_data.%I', before);
    EXECUTE format('ALTER TABLE market_data.%I ADD PRIMARY KEY (time, symbol, timeframe)', of_table);
    EXECUTE format('CREATE INDEX %I ON market_data.%I (symbol, time DESC)', of_table || '_symbol_time', of_table);
END;
$$;

DO $$
DECLARE
    timescaledb boolean := pg_temp.has_timescaledb();
    rule config.lifecycle%ROWTYPE;
    view text;
    definition text;
    said text;
    views text[] := ARRAY['ohlcv', 'indicators'];
    definitions text[] := '{}';
BEGIN
    IF NOT timescaledb THEN
        FOREACH view IN ARRAY views LOOP  -- they would go on to show the tables of before
            definitions := definitions || pg_get_viewdef(format('market_data.%I', view)::regclass);
            definitions := definitions || obj_description(format('market_data.%I', view)::regclass, 'pg_class');
            EXECUTE format('DROP VIEW market_data.%I', view);
        END LOOP;
    END IF;
    FOR rule IN SELECT * FROM config.lifecycle WHERE table_name NOT LIKE 'ohlcv%' ORDER BY table_name LOOP
        IF timescaledb THEN
            PERFORM pg_temp.to_hypertable(rule.table_name, rule.chunk);
        ELSE
            PERFORM pg_temp.to_partitions(rule.table_name, rule.chunk);
        END IF;
    END LOOP;
    IF NOT timescaledb THEN
        FOR number IN 1 .. cardinality(views) LOOP
            EXECUTE format('CREATE VIEW market_data.%I AS %s', views[number], definitions[2 * number - 1]);
            EXECUTE format('COMMENT ON VIEW market_data.%I IS %L', views[number], definitions[2 * number]);
            EXECUTE format(
                'CREATE TRIGGER %I INSTEAD OF INSERT OR UPDATE OR DELETE ON market_data.%I'
                ' FOR EACH ROW EXECUTE FUNCTION market_data.refuse_write_to_view()',
                views[number] || '_is_read_only', views[number]);
        END LOOP;
    END IF;
END;
$$;

-- TimescaleDB: chunks, the aggregate, policies -----------------------------------------------------

DO $body$
BEGIN
    IF NOT market_data.uses_timescaledb() THEN
        RETURN;
    END IF;

    -- PL/pgSQL, because a view on its catalog would hinder the extension's updates.
    CREATE FUNCTION market_data.chunks()
    RETURNS TABLE (table_name text, range_start timestamptz, range_end timestamptz, compressed boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    BEGIN
        RETURN QUERY
        SELECT COALESCE(aggregate.view_name, chunk.hypertable_name)::text, chunk.range_start, chunk.range_end,
               chunk.is_compressed
        FROM timescaledb_information.chunks AS chunk
        LEFT JOIN timescaledb_information.continuous_aggregates AS aggregate
            ON aggregate.materialization_hypertable_schema = chunk.hypertable_schema
            AND aggregate.materialization_hypertable_name = chunk.hypertable_name
        WHERE COALESCE(aggregate.view_schema, chunk.hypertable_schema) = 'market_data';
    END;
    $$;

    CREATE MATERIALIZED VIEW market_data.ohlcv_1h
    WITH (timescaledb.continuous, timescaledb.materialized_only = FALSE) AS
    SELECT time_bucket('1 hour', time) AS bucket,
           symbol,
           first(open, time) AS open,
           max(high) AS high,
           min(low) AS low,
           last(close, time) AS close,
           sum(volume) AS volume
    FROM market_data.bars_1m
    GROUP BY 1, 2
    WITH NO DATA;
    ALTER MATERIALIZED VIEW market_data.ohlcv_1h SET (
        timescaledb.compress, timescaledb.compress_segmentby = 'symbol', timescaledb.compress_orderby = 'bucket DESC');
    PERFORM set_chunk_time_interval('market_data.ohlcv_1h', chunk) FROM config.lifecycle WHERE table_name = 'ohlcv_1h';
    COMMENT ON VIEW market_data.ohlcv_1h IS 'Hours of the 1m bars, kept when those are dropped; what is newer than the last refresh is computed when it is read';

    CREATE FUNCTION market_data.ensure_policies() RETURNS SETOF text LANGUAGE plpgsql AS $$
    DECLARE
        rule config.lifecycle%ROWTYPE;
        relation regclass;
        present jsonb;
    BEGIN
        FOR rule IN SELECT * FROM config.lifecycle ORDER BY lifecycle.table_name LOOP
            relation := format('market_data.%I', rule.table_name)::regclass;
            SELECT config INTO present FROM timescaledb_information.jobs
            WHERE proc_name = 'policy_compression' AND hypertable_schema = 'market_data' AND hypertable_name = rule.table_name;
            IF (present ->> 'compress_after')::interval IS DISTINCT FROM rule.compress_after THEN
                PERFORM remove_compression_policy(relation, if_exists => TRUE);
                PERFORM add_compression_policy(relation, compress_after => rule.compress_after);
                RETURN NEXT format('%s is compressed after %s', rule.table_name, rule.compress_after);
            END IF;
            SELECT config INTO present FROM timescaledb_information.jobs
            WHERE proc_name = 'policy_retention' AND hypertable_schema = 'market_data' AND hypertable_name = rule.table_name;
            IF (present ->> 'drop_after')::interval IS DISTINCT FROM rule.keep THEN
                PERFORM remove_retention_policy(relation, if_exists => TRUE);
                IF rule.keep IS NOT NULL THEN
                    -- A day's grace for what a database brings along and nobody has refreshed the hours of.
                    PERFORM add_retention_policy(
                        relation, drop_after => rule.keep, initial_start => now() + interval '1 day');
                END IF;
                RETURN NEXT format('%s is kept %s', rule.table_name, COALESCE(rule.keep::text, 'for ever'));
            END IF;
        END LOOP;
        -- What is refreshed must be inside what bars_1m keeps: an hour whose minutes were dropped would be emptied.
        SELECT config INTO present FROM timescaledb_information.jobs
        WHERE proc_name = 'policy_refresh_continuous_aggregate' AND hypertable_schema = 'market_data' AND hypertable_name = 'ohlcv_1h';
        SELECT * INTO rule FROM config.lifecycle WHERE lifecycle.table_name = 'bars_1m';
        IF (present ->> 'start_offset')::interval IS DISTINCT FROM rule.keep - interval '1 month' THEN
            PERFORM remove_continuous_aggregate_policy('market_data.ohlcv_1h', if_exists => TRUE);
            PERFORM add_continuous_aggregate_policy(
                'market_data.ohlcv_1h', start_offset => rule.keep - interval '1 month', end_offset => interval '1 hour',
                schedule_interval => interval '1 hour');
            RETURN NEXT format('ohlcv_1h is refreshed hourly over %s', rule.keep - interval '1 month');
        END IF;
    END;
    $$;
    PERFORM market_data.ensure_policies();
END;
$body$;

-- Plain PostgreSQL: the same ----------------------------------------------------------------------

DO $body$
DECLARE
    hour CONSTANT text := $$
        date_bin('1 hour', time, timestamptz '1970-01-01 00:00:00+00') AS bucket, symbol,
        (array_agg(open ORDER BY time))[1] AS open, max(high) AS high, min(low) AS low,
        (array_agg(close ORDER BY time DESC))[1] AS close, sum(volume) AS volume$$;
BEGIN
    IF market_data.uses_timescaledb() THEN
        RETURN;
    END IF;
    CREATE FUNCTION market_data.chunks()
    RETURNS TABLE (table_name text, range_start timestamptz, range_end timestamptz, compressed boolean)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        SELECT rule.table_name, start, start + rule.chunk, FALSE
        FROM config.lifecycle AS rule
        JOIN pg_inherits ON inhparent = format('market_data.%I', rule.table_name)::regclass
        JOIN pg_class AS partition ON partition.oid = inhrelid
        CROSS JOIN LATERAL (
            SELECT right(partition.relname, 8)::date::timestamp AT TIME ZONE 'UTC' AS start
            WHERE partition.relname ~ '_[0-9]{8}$') AS dated
    $$;

    UPDATE config.lifecycle SET table_name = 'ohlcv_1h_stored' WHERE table_name = 'ohlcv_1h';
    CREATE TABLE market_data.ohlcv_1h_stored (
        bucket TIMESTAMPTZ NOT NULL,
        symbol VARCHAR(20) NOT NULL,
        open   DECIMAL,
        high   DECIMAL,
        low    DECIMAL,
        close  DECIMAL,
        volume DECIMAL,
        PRIMARY KEY (bucket, symbol)
    ) PARTITION BY RANGE (bucket);
    CREATE INDEX ohlcv_1h_stored_symbol_bucket ON market_data.ohlcv_1h_stored (symbol, bucket DESC);
    CREATE TABLE market_data.ohlcv_1h_stored_default PARTITION OF market_data.ohlcv_1h_stored DEFAULT;
    COMMENT ON TABLE market_data.ohlcv_1h_stored IS 'Hours of the 1m bars up to the last refresh, kept when those are dropped; read market_data.ohlcv_1h';
    COMMENT ON TABLE market_data.ohlcv_1h_stored_default IS 'Rows that came before the partition they belong to; market_data.make_partitions_ahead moves them there';

    CREATE TABLE market_data.ohlcv_1h_changes (symbol VARCHAR(20) NOT NULL, first TIMESTAMPTZ NOT NULL, last TIMESTAMPTZ NOT NULL);
    COMMENT ON TABLE market_data.ohlcv_1h_changes IS 'Whose 1m bars have changed since the last refresh of market_data.ohlcv_1h, and from when to when';
    CREATE TABLE market_data.aggregates (name VARCHAR(30) PRIMARY KEY, source VARCHAR(30) NOT NULL, until TIMESTAMPTZ NOT NULL);
    COMMENT ON TABLE market_data.aggregates IS 'How far each aggregate is stored';
    COMMENT ON COLUMN market_data.aggregates.until IS 'What is before this is stored; what is later is computed when it is read';
    INSERT INTO market_data.aggregates VALUES ('ohlcv_1h', 'bars_1m', '1970-01-01 00:00:00+00');

    CREATE FUNCTION market_data.note_ohlcv_1h_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    BEGIN
        INSERT INTO market_data.ohlcv_1h_changes (symbol, first, last)
        SELECT symbol, min(time), max(time) FROM changed GROUP BY symbol;
        RETURN NULL;
    END;
    $$;
    CREATE TRIGGER bars_1m_inserted AFTER INSERT ON market_data.bars_1m REFERENCING NEW TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION market_data.note_ohlcv_1h_change();
    CREATE TRIGGER bars_1m_updated AFTER UPDATE ON market_data.bars_1m REFERENCING NEW TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION market_data.note_ohlcv_1h_change();
    CREATE TRIGGER bars_1m_deleted AFTER DELETE ON market_data.bars_1m REFERENCING OLD TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION market_data.note_ohlcv_1h_change();

    EXECUTE format($view$
        CREATE VIEW market_data.ohlcv_1h AS
        SELECT bucket, symbol, open, high, low, close, volume
        FROM market_data.ohlcv_1h_stored
        WHERE bucket < (SELECT until FROM market_data.aggregates WHERE name = 'ohlcv_1h')
        UNION ALL
        SELECT %s
        FROM market_data.bars_1m
        WHERE time >= (SELECT until FROM market_data.aggregates WHERE name = 'ohlcv_1h')
        GROUP BY 1, 2
        $view$, hour);
    COMMENT ON VIEW market_data.ohlcv_1h IS 'Hours of the 1m bars, kept when those are dropped; what is newer than the last refresh is computed when it is read';
    CREATE TRIGGER ohlcv_1h_is_read_only INSTEAD OF INSERT OR UPDATE OR DELETE ON market_data.ohlcv_1h
        FOR EACH ROW EXECUTE FUNCTION market_data.refuse_write_to_view();

    EXECUTE format($function$
        CREATE FUNCTION market_data.refresh_ohlcv_1h(present timestamptz) RETURNS bigint
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            before timestamptz;
            now_until timestamptz;
            minutes tstzmultirange;
            change record;
            made bigint;
            total bigint := 0;
        BEGIN
            SELECT until INTO before FROM market_data.aggregates WHERE name = 'ohlcv_1h' FOR UPDATE;
            SELECT greatest(before, least(
                date_trunc('hour', present - interval '1 hour', 'UTC'),
                COALESCE(date_trunc('hour', max(time), 'UTC') + interval '1 hour', before)))
            INTO now_until FROM market_data.bars_1m;
            PERFORM market_data.make_partitions('bars_1m', ARRAY(SELECT market_data.waiting('bars_1m')));
            SELECT range_agg(tstzrange(range_start, range_end)) INTO minutes
            FROM market_data.chunks() WHERE table_name = 'bars_1m';
            PERFORM market_data.make_partitions('ohlcv_1h_stored', ARRAY(
                SELECT generate_series(lower(part), upper(part), interval '28 days') FROM unnest(minutes) AS part
                WHERE lower(part) < now_until));
            FOR change IN
                WITH taken AS (DELETE FROM market_data.ohlcv_1h_changes RETURNING symbol, first, last)
                SELECT symbol, unnest(
                    range_agg(tstzrange(date_trunc('hour', first, 'UTC'), date_trunc('hour', last, 'UTC') + interval '1 hour'))
                    * tstzmultirange(tstzrange(NULL, before)) * minutes) AS span
                FROM taken
                GROUP BY symbol
                UNION ALL
                SELECT NULL, unnest(tstzmultirange(tstzrange(before, now_until)) * minutes)
            LOOP
                -- Only where the minutes are: an hour whose minutes were dropped stays as it is.
                DELETE FROM market_data.ohlcv_1h_stored AS hour
                WHERE bucket >= lower(change.span) AND bucket < upper(change.span)
                  AND (change.symbol IS NULL OR hour.symbol = change.symbol);
                INSERT INTO market_data.ohlcv_1h_stored
                SELECT %s
                FROM market_data.bars_1m AS minute
                WHERE time >= lower(change.span) AND time < upper(change.span)
                  AND (change.symbol IS NULL OR minute.symbol = change.symbol)
                GROUP BY 1, 2;
                GET DIAGNOSTICS made = ROW_COUNT;
                total := total + made;
            END LOOP;
            UPDATE market_data.aggregates SET until = now_until WHERE name = 'ohlcv_1h' AND until <> now_until;
            RETURN total;
        END;
        $$
        $function$, hour);
    COMMENT ON FUNCTION market_data.refresh_ohlcv_1h IS 'Stores the hours of new and changed 1m bars, up to an hour before the present, and says how many';

    -- TimescaleDB's jobs have no like here; the scheduled asset does their work.
    CREATE FUNCTION market_data.ensure_policies() RETURNS SETOF text LANGUAGE sql AS $$ SELECT NULL::text WHERE FALSE $$;

    PERFORM market_data.make_partitions_ahead(now());
END;
$body$;

COMMENT ON FUNCTION market_data.chunks IS 'The chunks or partitions there are of each table in config.lifecycle';
COMMENT ON FUNCTION market_data.ensure_policies IS 'Makes the policies in the database those of config.lifecycle, and names what it changed';

-- What the columns mean -----------------------------------------------------------------------------

DO $$
DECLARE
    meant jsonb := '{
        "time": "Open of the bar, UTC; of a daily bar, midnight UTC of the session''s date",
        "bucket": "Begin of the hour, UTC",
        "symbol": "Instrument, in the platform''s spelling",
        "timeframe": "Length of the bar: 1m, 5m, 1h or 1d",
        "open": "First price", "high": "Highest price", "low": "Lowest price", "close": "Last price",
        "volume": "How much was traded", "source": "Who gave it, or ohlcv_1m: rolled up from minutes",
        "indicator": "Name of the indicator", "value": "Its value, rounded to eight decimals",
        "sma_20": "Simple moving average of 20 closes", "sma_50": "Simple moving average of 50 closes",
        "sma_200": "Simple moving average of 200 closes", "ema_12": "Exponential moving average of 12 closes",
        "ema_26": "Exponential moving average of 26 closes", "rsi_14": "Relative strength index, 14 bars, Wilder",
        "macd_line": "ema_12 less ema_26", "macd_signal": "Exponential moving average of 9 values of macd_line",
        "macd_hist": "macd_line less macd_signal", "atr_14": "Average true range, 14 bars, Wilder",
        "bb_upper": "bb_middle plus two population deviations", "bb_middle": "Simple moving average of 20 closes",
        "bb_lower": "bb_middle less two population deviations", "adx_14": "Average directional index, 14 bars, Wilder",
        "answered": "Answered for and still held: there, a slot without a bar is proven empty",
        "expired": "Answered for and dropped since, being older than is kept",
        "id": "Order of writing", "asked": "The window in question", "outcome": "stored, empty or failed",
        "stored": "How many bars the answer had", "refused": "How many rows of the answer were refused",
        "changed": "Whether stored bars changed by it; the highest such id is the version of the bars for what is computed from them",
        "origin": "Where exactly it came from: a file, an address", "note": "What the source said, or why it failed",
        "asked_at": "When it was asked", "dataset": "What is computed: an asset", "partition_start": "Begin of the partition",
        "input_version": "Version of the bars it was computed from", "code_version": "Version of the code that computed it",
        "row_count": "How many rows", "computed_at": "When it was computed", "recorded_at": "When it was refused",
        "line": "Line of the file", "reason": "Why it was refused, in one word", "detail": "Why, in words",
        "record": "The row as it came", "asset_class": "equity, etf, fx, crypto or index",
        "calendar": "Trading calendar", "sector": "Sector, for cross-sectional features",
        "benchmark": "Symbol of its market", "tick_size": "Smallest step of its price",
        "created_at": "When it was added", "updated_at": "When it last changed; kept by the database",
        "name": "The aggregate", "until": "What is before this is stored; what is later is computed when it is read",
        "first": "First time that changed", "last": "Last time that changed"
    }';
    missing record;
BEGIN
    FOR missing IN
        SELECT schema.nspname, relation.relname, relation.relkind, attribute.attname
        FROM pg_class AS relation
        JOIN pg_namespace AS schema ON schema.oid = relation.relnamespace
        JOIN pg_attribute AS attribute ON attrelid = relation.oid AND attnum > 0 AND NOT attisdropped
        WHERE (schema.nspname = 'market_data' OR (schema.nspname, relation.relname) = ('config', 'instruments'))
          AND relation.relkind IN ('r', 'p', 'v') AND NOT relation.relispartition
          AND col_description(relation.oid, attnum) IS NULL AND meant ? attribute.attname
    LOOP
        EXECUTE format('COMMENT ON COLUMN %I.%I.%I IS %L',
                       missing.nspname, missing.relname, missing.attname, meant ->> missing.attname);
    END LOOP;
END;
$$;

-- Who may -------------------------------------------------------------------------------------------

DO $$ BEGIN PERFORM config.grant_roles(); END $$;
GRANT SELECT ON config.lifecycle TO ingest, agent, dashboard;
GRANT EXECUTE ON FUNCTION
    market_data.chunk_start, market_data.uses_timescaledb, market_data.chunks, market_data.held, market_data.waiting
    TO ingest, agent, dashboard;
GRANT EXECUTE ON FUNCTION market_data.note_expired, market_data.make_partitions TO ingest;
DO $$
BEGIN
    IF NOT market_data.uses_timescaledb() THEN
        GRANT EXECUTE ON FUNCTION market_data.refresh_ohlcv_1h TO ingest;
    END IF;
END;
$$;
DROP FUNCTION pg_temp.has_timescaledb, pg_temp.to_hypertable, pg_temp.to_partitions;
