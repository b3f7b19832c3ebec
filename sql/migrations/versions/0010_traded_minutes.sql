-- The hours of market_data.ohlcv_1h take their prices from minutes with trades, as the bars that the platform rolls up
-- do: the price of a no_trade minute is carried from an earlier one. Where all minutes are no_trade, their price counts.
-- The volume is unknown where that of a minute is. Hours whose minutes were dropped stay as they are.

-- TimescaleDB: a continuous aggregate cannot be altered, so a new one takes the place of the old ---------------------

DO $body$
DECLARE
    target text;
    kept_from timestamptz;
    item record;
BEGIN
    IF NOT market_data.uses_timescaledb() THEN
        RETURN;
    END IF;
    ALTER MATERIALIZED VIEW market_data.ohlcv_1h RENAME TO ohlcv_1h_before;
    CREATE MATERIALIZED VIEW market_data.ohlcv_1h
    WITH (timescaledb.continuous, timescaledb.materialized_only = FALSE) AS
    SELECT time_bucket('1 hour', time) AS bucket,
           symbol,
           COALESCE(first(open, time) FILTER (WHERE quality <> 'no_trade'), first(open, time)) AS open,
           COALESCE(max(high) FILTER (WHERE quality <> 'no_trade'), max(high)) AS high,
           COALESCE(min(low) FILTER (WHERE quality <> 'no_trade'), min(low)) AS low,
           COALESCE(last(close, time) FILTER (WHERE quality <> 'no_trade'), last(close, time)) AS close,
           CASE WHEN count(*) = count(volume) THEN sum(volume) END AS volume
    FROM market_data.bars_1m
    GROUP BY 1, 2
    WITH NO DATA;
    ALTER MATERIALIZED VIEW market_data.ohlcv_1h SET (
        timescaledb.compress, timescaledb.compress_segmentby = 'symbol', timescaledb.compress_orderby = 'bucket DESC');
    PERFORM set_chunk_time_interval('market_data.ohlcv_1h', chunk) FROM config.retention WHERE table_name = 'ohlcv_1h';

    -- Hours whose minutes were dropped cannot be computed again: they move as they are. They show again with the next
    -- refresh, which the asset retention and the policy do hourly; hours with minutes are computed when they are read.
    SELECT format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name) INTO target
    FROM timescaledb_information.continuous_aggregates
    WHERE view_schema = 'market_data' AND view_name = 'ohlcv_1h';
    SELECT min(range_start) INTO kept_from FROM market_data.chunks() WHERE table_name = 'bars_1m';
    EXECUTE format(
        'INSERT INTO %s (bucket, symbol, open, high, low, close, volume)'
        ' SELECT bucket, symbol, open, high, low, close, volume FROM market_data.ohlcv_1h_before WHERE bucket < %L',
        target, COALESCE(kept_from, 'infinity'));

    FOR item IN
        SELECT COALESCE(grantee::regrole::text, 'PUBLIC') AS role, privilege_type
        FROM pg_class, aclexplode(relacl)
        WHERE pg_class.oid = 'market_data.ohlcv_1h_before'::regclass AND grantee <> relowner AND grantee <> 0
    LOOP
        EXECUTE format('GRANT %s ON market_data.ohlcv_1h TO %s', item.privilege_type, item.role);
    END LOOP;
    EXECUTE format('COMMENT ON VIEW market_data.ohlcv_1h IS %L',
                   obj_description('market_data.ohlcv_1h_before'::regclass, 'pg_class'));
    FOR item IN
        SELECT attname, col_description(attrelid, attnum) AS meaning FROM pg_attribute
        WHERE attrelid = 'market_data.ohlcv_1h_before'::regclass AND attnum > 0 AND NOT attisdropped
    LOOP
        EXECUTE format('COMMENT ON COLUMN market_data.ohlcv_1h.%I IS %L', item.attname, item.meaning);
    END LOOP;
    DROP MATERIALIZED VIEW market_data.ohlcv_1h_before;
    PERFORM market_data.ensure_policies();
END;
$body$;

-- Plain PostgreSQL: the same -----------------------------------------------------------------------------------------

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
    before text;
    present text;
BEGIN
    IF market_data.uses_timescaledb() THEN
        RETURN;
    END IF;
    EXECUTE format($view$
        CREATE OR REPLACE VIEW market_data.ohlcv_1h AS
        SELECT bucket, symbol, open, high, low, close, volume
        FROM market_data.ohlcv_1h_stored
        WHERE bucket < (SELECT until FROM market_data.aggregates WHERE name = 'ohlcv_1h')
        UNION ALL
        SELECT %s
        FROM market_data.bars_1m
        WHERE time >= (SELECT until FROM market_data.aggregates WHERE name = 'ohlcv_1h')
        GROUP BY 1, 2
        $view$, hour);
    before := pg_get_functiondef('market_data.refresh_ohlcv_1h(timestamptz)'::regprocedure);
    present := regexp_replace(before, $$date_bin\('1 hour', time,.*sum\(volume\) AS volume$$, btrim(hour, E' \n'));
    IF present = before THEN
        RAISE EXCEPTION 'market_data.refresh_ohlcv_1h is not the function of migration 0004';
    END IF;
    EXECUTE present;
    -- The next refresh stores these hours again.
    INSERT INTO market_data.ohlcv_1h_changes (symbol, first, last)
    SELECT symbol, min(time), max(time) FROM market_data.bars_1m
    WHERE quality = 'no_trade' OR volume IS NULL
    GROUP BY symbol;
END;
$body$;

-- What is computed depends on which time without bars is confirmed to be empty, too ----------------------------------

COMMENT ON COLUMN market_data.coverage_requests.changed IS 'Whether it changed stored bars or added to the coverage; the highest such id is the version of the bars for what is computed from them';

-- A roll-up looked at a whole partition, which was no request to a source: its record begins and ends with what it gave.

UPDATE market_data.coverage_requests AS request
SET asked = request.asked * known.span
FROM (
    SELECT symbol, timeframe, range_merge(answered + expired) AS span
    FROM market_data.coverage
    WHERE source = 'ohlcv_1m' AND NOT isempty(answered + expired)
) AS known
WHERE request.source = 'ohlcv_1m' AND request.origin = 'ohlcv_1m' AND request.symbol = known.symbol
  AND request.timeframe = known.timeframe AND request.asked && known.span AND NOT request.asked <@ known.span;
DELETE FROM market_data.coverage_requests AS request
WHERE request.source = 'ohlcv_1m' AND request.origin = 'ohlcv_1m' AND NOT request.changed
  AND NOT EXISTS (
      SELECT FROM market_data.coverage AS known
      WHERE known.source = 'ohlcv_1m' AND known.symbol = request.symbol AND known.timeframe = request.timeframe
        AND (known.answered + known.expired) && request.asked);

-- A dividend whose session before is not stored is adjusted for by the close that its source states -------------------

ALTER TABLE market_data.corporate_actions ADD COLUMN close_before DECIMAL(18,8) CHECK (close_before > 0);
COMMENT ON COLUMN market_data.corporate_actions.close_before IS 'Of a dividend: raw close of the session before the ex-date, if the source states it';
