-- Hours of market_data.ohlcv_1h whose minutes may have been dropped are refreshed symbol by symbol, and none of which a
-- minute was dropped: docs/decisions/0050-hours-by-symbol.md. What is due is in market_data.ohlcv_1h_changes, with
-- TimescaleDB only what is older than its policy refreshes; the extension's own log has the rest.

DO $$
BEGIN
    IF NOT market_data.uses_timescaledb() THEN
        RETURN;
    END IF;
    CREATE TABLE market_data.ohlcv_1h_changes (
        symbol VARCHAR(20) NOT NULL, first TIMESTAMPTZ NOT NULL, last TIMESTAMPTZ NOT NULL);
    COMMENT ON TABLE market_data.ohlcv_1h_changes IS 'Whose 1m bars have changed since the last refresh of market_data.ohlcv_1h, and from when to when; only those older than its policy refreshes';
    COMMENT ON COLUMN market_data.ohlcv_1h_changes.symbol IS 'Instrument, in the platform''s spelling';
    COMMENT ON COLUMN market_data.ohlcv_1h_changes.first IS 'First time that changed';
    COMMENT ON COLUMN market_data.ohlcv_1h_changes.last IS 'Last time that changed';
    -- Hours that were not made because the minutes of another symbol had been dropped.
    INSERT INTO market_data.ohlcv_1h_changes (symbol, first, last)
    SELECT symbol, min(time), max(time)
    FROM market_data.bars_1m
    WHERE time < now() - (SELECT keep - interval '1 month' - interval '1 day' FROM config.retention WHERE table_name = 'bars_1m')
    GROUP BY symbol;
END;
$$;

-- Dropped minutes ----------------------------------------------------------------------------------------------------

CREATE FUNCTION market_data.expired_hours(of_symbol varchar) RETURNS tstzmultirange
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT COALESCE(range_agg(tstzrange(
        date_trunc('hour', lower(span), 'UTC'),
        date_trunc('hour', upper(span) - interval '1 microsecond', 'UTC') + interval '1 hour')), '{}')
    FROM (
        SELECT range_agg(expired) - range_agg(answered) AS spans
        FROM market_data.coverage WHERE symbol = of_symbol AND timeframe = '1m'
    ) AS known, unnest(spans) AS span
$$;
COMMENT ON FUNCTION market_data.expired_hours IS 'The hours of a symbol of which minutes were dropped because of their age: they cannot be computed again';

CREATE FUNCTION market_data.expire_fingerprints(present timestamptz) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH held AS MATERIALIZED (
        SELECT timeframe, market_data.held(timeframe, present) AS spans
        FROM config.retention WHERE table_name LIKE 'bars_%' AND keep IS NOT NULL
    ), gone AS (
        DELETE FROM market_data.fingerprints AS known
        USING held
        WHERE known.timeframe = held.timeframe
          AND NOT held.spans @> tstzrange(period_start, period_start + market_data.fingerprint_period(known.timeframe))
        RETURNING 1
    )
    SELECT count(*) FROM gone
$$;
COMMENT ON FUNCTION market_data.expire_fingerprints IS 'Deletes the fingerprints of periods dropped because of their age, and returns how many';

-- A write beyond retention makes a chunk that may have been dropped: what was dropped with it is recorded first, because
-- afterwards nothing shows that it is gone. The lock keeps the policy from dropping a chunk in between.

DO $body$
BEGIN
    IF NOT market_data.uses_timescaledb() THEN
        CREATE FUNCTION market_data.note_change(of_timeframe text, symbols text[], firsts timestamptz[], lasts timestamptz[])
        RETURNS void LANGUAGE sql AS $$ $$;
        COMMENT ON FUNCTION market_data.note_change IS 'Before bars change: nothing, because triggers record changes, and a partition is dropped together with its coverage';
        RETURN;
    END IF;
    CREATE FUNCTION market_data.note_change(of_timeframe text, symbols text[], firsts timestamptz[], lasts timestamptz[])
    RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DECLARE
        keep_for interval := (SELECT keep FROM config.retention WHERE table_name = 'bars_' || of_timeframe);
        refreshed_from timestamptz := now() - keep_for + interval '1 month' + interval '1 day';  -- by the policy
    BEGIN
        IF (SELECT min(first) FROM unnest(firsts) AS first) < now() - keep_for THEN
            EXECUTE format('LOCK TABLE market_data.%I IN ACCESS SHARE MODE', 'bars_' || of_timeframe);
            PERFORM market_data.note_expired(now()), market_data.expire_fingerprints(now());
        END IF;
        IF of_timeframe = '1m' THEN
            INSERT INTO market_data.ohlcv_1h_changes (symbol, first, last)
            SELECT symbol, first, least(last, refreshed_from)
            FROM unnest(symbols, firsts, lasts) AS changed (symbol, first, last)
            WHERE first < refreshed_from;
        END IF;
    END;
    $$;
    COMMENT ON FUNCTION market_data.note_change IS 'Before bars change: records old minutes whose hours are to be refreshed, and what was dropped because of its age';
END;
$body$;

-- The refresh --------------------------------------------------------------------------------------------------------

DO $body$
DECLARE
    hour CONSTANT text := $$
        date_bin('1 hour', time, timestamptz '1970-01-01 00:00:00+00') AS bucket, symbol,
        COALESCE((array_agg(open ORDER BY time) FILTER (WHERE quality <> 'no_trade'))[1],
                 (array_agg(open ORDER BY time))[1]) AS open,
        COALESCE(max(high) FILTER (WHERE quality <> 'no_trade'), max(high)) AS high,
        COALESCE(min(low) FILTER (WHERE quality <> 'no_trade'), min(low)) AS low,
        COALESCE((array_agg(close ORDER BY time DESC) FILTER (WHERE quality <> 'no_trade'))[1],
                 (array_agg(close ORDER BY time DESC))[1]) AS close,
        CASE WHEN count(*) = count(volume) THEN sum(volume) END AS volume$$;
    stored text;
BEGIN
    IF market_data.uses_timescaledb() THEN
        SELECT format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name) INTO stored
        FROM timescaledb_information.continuous_aggregates
        WHERE view_schema = 'market_data' AND view_name = 'ohlcv_1h';
        EXECUTE format($function$
            CREATE FUNCTION market_data.refresh_old_hours(present timestamptz) RETURNS timestamptz
            LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
            SET timescaledb.max_tuples_decompressed_per_dml_transaction = 0 AS $$
            DECLARE
                edge timestamptz;
                taken market_data.ohlcv_1h_changes[];
                minutes tstzmultirange;
                change record;
            BEGIN
                -- A refresh of the aggregate from an earlier edge would store the same hours a second time.
                PERFORM pg_advisory_xact_lock(hashtext('refresh'), hashtext('ohlcv_1h'));
                -- The chunk that is dropped next is left to this function, too: it may go while the aggregate is refreshed.
                SELECT market_data.chunk_start(present - keep, chunk) + chunk INTO edge
                FROM config.retention WHERE table_name = 'bars_1m';
                -- After the last stored hour there is none to lose, and only a refresh of the aggregate shows new ones.
                SELECT least(edge, COALESCE(max(bucket) + interval '1 hour', (
                    SELECT min(range_start) FROM market_data.chunks() WHERE table_name = 'bars_1m'), edge))
                INTO edge FROM %1$s;
                WITH gone AS (
                    DELETE FROM market_data.ohlcv_1h_changes WHERE first < edge RETURNING symbol, first, last
                ), left_over AS (
                    INSERT INTO market_data.ohlcv_1h_changes (symbol, first, last)
                    SELECT symbol, edge, last FROM gone WHERE last >= edge
                )
                SELECT array_agg(ROW(symbol, first, last)::market_data.ohlcv_1h_changes) INTO taken FROM gone;
                -- Only then the chunks, or one that was made in between would be missing; none is dropped until the end.
                LOCK TABLE market_data.bars_1m IN ACCESS SHARE MODE;
                SELECT range_agg(tstzrange(range_start, range_end)) INTO minutes
                FROM market_data.chunks() WHERE table_name = 'bars_1m';
                FOR change IN
                    SELECT symbol, unnest(
                        range_agg(tstzrange(date_trunc('hour', first, 'UTC'), date_trunc('hour', last, 'UTC') + interval '1 hour'))
                        * tstzmultirange(tstzrange(NULL, edge)) * minutes - market_data.expired_hours(symbol)) AS span
                    FROM unnest(taken)
                    GROUP BY symbol
                LOOP
                    DELETE FROM %1$s WHERE bucket >= lower(change.span) AND bucket < upper(change.span) AND symbol = change.symbol;
                    INSERT INTO %1$s (bucket, symbol, open, high, low, close, volume)
                    SELECT %2$s
                    FROM market_data.bars_1m AS minute
                    WHERE time >= lower(change.span) AND time < upper(change.span) AND minute.symbol = change.symbol
                    GROUP BY 1, 2;
                END LOOP;
                RETURN edge;
            END;
            $$
            $function$, stored, hour);
        COMMENT ON FUNCTION market_data.refresh_old_hours IS 'Stores the hours of changed 1m bars that a refresh of market_data.ohlcv_1h must leave alone, and returns where one may begin';
        RETURN;
    END IF;

    EXECUTE format($function$
        CREATE OR REPLACE FUNCTION market_data.refresh_ohlcv_1h(present timestamptz) RETURNS bigint
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            before timestamptz;
            now_until timestamptz;
            taken market_data.ohlcv_1h_changes[];
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
            WITH gone AS (DELETE FROM market_data.ohlcv_1h_changes RETURNING symbol, first, last)
            SELECT array_agg(ROW(symbol, first, last)::market_data.ohlcv_1h_changes) INTO taken FROM gone;
            -- Only then the partitions, or one that was made in between would be missing.
            PERFORM market_data.make_partitions('bars_1m', ARRAY(SELECT market_data.waiting('bars_1m')));
            SELECT range_agg(tstzrange(range_start, range_end)) INTO minutes
            FROM market_data.chunks() WHERE table_name = 'bars_1m';
            PERFORM market_data.make_partitions('ohlcv_1h_stored', ARRAY(
                SELECT generate_series(lower(part), upper(part), interval '28 days') FROM unnest(minutes) AS part
                WHERE lower(part) < now_until));
            FOR change IN
                SELECT symbol, unnest(
                    range_agg(tstzrange(date_trunc('hour', first, 'UTC'), date_trunc('hour', last, 'UTC') + interval '1 hour'))
                    * tstzmultirange(tstzrange(NULL, before)) * minutes - market_data.expired_hours(symbol)) AS span
                FROM unnest(taken)
                GROUP BY symbol
                UNION ALL
                SELECT NULL, unnest(tstzmultirange(tstzrange(before, now_until)) * minutes)
            LOOP
                -- Only where all the minutes are: an hour whose minutes were dropped stays as it is.
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
END;
$body$;

DO $$ BEGIN PERFORM config.grant_roles(); END $$;
GRANT EXECUTE ON FUNCTION market_data.note_change, market_data.expire_fingerprints TO ingest;
DO $$
BEGIN
    IF market_data.uses_timescaledb() THEN
        GRANT EXECUTE ON FUNCTION market_data.refresh_old_hours TO ingest;
    END IF;
END;
$$;
