-- Bars and indicators (data-architecture §3), what was asked of whom, what was refused, and the universe.
-- One table a timeframe under the document's names, because retention and compression act on whole
-- tables: docs/decisions/0001-one-table-per-timeframe.md.

CREATE SCHEMA market_data;
CREATE SCHEMA config;

COMMENT ON SCHEMA market_data IS 'Bars, indicators, and the record of what was asked of which source';
COMMENT ON SCHEMA config IS 'What a person configures: the universe, strategies, limits';

CREATE TABLE market_data.bars_1m (
    time        TIMESTAMPTZ NOT NULL,
    symbol      VARCHAR(20) NOT NULL,
    timeframe   VARCHAR(10) NOT NULL DEFAULT '1m' CHECK (timeframe = '1m'),
    open        DECIMAL(18,8),
    high        DECIMAL(18,8),
    low         DECIMAL(18,8),
    close       DECIMAL(18,8),
    volume      DECIMAL(24,8),
    source      VARCHAR(20),
    quality     VARCHAR(10) NOT NULL DEFAULT 'traded'
                CHECK (quality IN ('traded', 'no_trade', 'repaired', 'review')),
    PRIMARY KEY (time, symbol, timeframe)
);
CREATE INDEX bars_1m_symbol_time ON market_data.bars_1m (symbol, time DESC);
COMMENT ON TABLE market_data.bars_1m IS 'Final 1m bars; read them through market_data.ohlcv';
COMMENT ON COLUMN market_data.bars_1m.time IS 'Open of the bar, UTC; the interval is half-open';
COMMENT ON COLUMN market_data.bars_1m.quality IS 'traded; no_trade: nothing traded, last price carried; repaired: filled afterwards; review: opened more than 10 % from the close before';

CREATE TABLE market_data.bars_5m (
    time        TIMESTAMPTZ NOT NULL,
    symbol      VARCHAR(20) NOT NULL,
    timeframe   VARCHAR(10) NOT NULL DEFAULT '5m' CHECK (timeframe = '5m'),
    open        DECIMAL(18,8),
    high        DECIMAL(18,8),
    low         DECIMAL(18,8),
    close       DECIMAL(18,8),
    volume      DECIMAL(24,8),
    source      VARCHAR(20),
    quality     VARCHAR(10) NOT NULL DEFAULT 'traded'
                CHECK (quality IN ('traded', 'no_trade', 'repaired', 'review')),
    PRIMARY KEY (time, symbol, timeframe)
);
CREATE INDEX bars_5m_symbol_time ON market_data.bars_5m (symbol, time DESC);
COMMENT ON TABLE market_data.bars_5m IS 'Final 5m bars; read them through market_data.ohlcv';
COMMENT ON COLUMN market_data.bars_5m.time IS 'Open of the bar, UTC; the interval is half-open';
COMMENT ON COLUMN market_data.bars_5m.quality IS 'traded; no_trade: nothing traded, last price carried; repaired: filled afterwards; review: opened more than 10 % from the close before';

CREATE TABLE market_data.bars_1h (
    time        TIMESTAMPTZ NOT NULL,
    symbol      VARCHAR(20) NOT NULL,
    timeframe   VARCHAR(10) NOT NULL DEFAULT '1h' CHECK (timeframe = '1h'),
    open        DECIMAL(18,8),
    high        DECIMAL(18,8),
    low         DECIMAL(18,8),
    close       DECIMAL(18,8),
    volume      DECIMAL(24,8),
    source      VARCHAR(20),
    quality     VARCHAR(10) NOT NULL DEFAULT 'traded'
                CHECK (quality IN ('traded', 'no_trade', 'repaired', 'review')),
    PRIMARY KEY (time, symbol, timeframe)
);
CREATE INDEX bars_1h_symbol_time ON market_data.bars_1h (symbol, time DESC);
COMMENT ON TABLE market_data.bars_1h IS 'Final 1h bars; read them through market_data.ohlcv';
COMMENT ON COLUMN market_data.bars_1h.time IS 'Open of the bar, UTC; the interval is half-open';
COMMENT ON COLUMN market_data.bars_1h.quality IS 'traded; no_trade: nothing traded, last price carried; repaired: filled afterwards; review: opened more than 10 % from the close before';

CREATE TABLE market_data.bars_1d (
    time        TIMESTAMPTZ NOT NULL,
    symbol      VARCHAR(20) NOT NULL,
    timeframe   VARCHAR(10) NOT NULL DEFAULT '1d' CHECK (timeframe = '1d'),
    open        DECIMAL(18,8),
    high        DECIMAL(18,8),
    low         DECIMAL(18,8),
    close       DECIMAL(18,8),
    volume      DECIMAL(24,8),
    source      VARCHAR(20),
    quality     VARCHAR(10) NOT NULL DEFAULT 'traded'
                CHECK (quality IN ('traded', 'no_trade', 'repaired', 'review')),
    PRIMARY KEY (time, symbol, timeframe)
);
CREATE INDEX bars_1d_symbol_time ON market_data.bars_1d (symbol, time DESC);
COMMENT ON TABLE market_data.bars_1d IS 'Final 1d bars; read them through market_data.ohlcv';
COMMENT ON COLUMN market_data.bars_1d.time IS 'Midnight UTC of the session date, UTC; the interval is half-open';
COMMENT ON COLUMN market_data.bars_1d.quality IS 'traded; no_trade: nothing traded, last price carried; repaired: filled afterwards; review: opened more than 10 % from the close before';

CREATE VIEW market_data.ohlcv AS
SELECT time, symbol, timeframe, open, high, low, close, volume, source FROM market_data.bars_1m
UNION ALL
SELECT time, symbol, timeframe, open, high, low, close, volume, source FROM market_data.bars_5m
UNION ALL
SELECT time, symbol, timeframe, open, high, low, close, volume, source FROM market_data.bars_1h
UNION ALL
SELECT time, symbol, timeframe, open, high, low, close, volume, source FROM market_data.bars_1d;
COMMENT ON VIEW market_data.ohlcv IS 'All bars of all timeframes, for reading; a condition on timeframe touches one table only';

CREATE FUNCTION market_data.refuse_write_to_view() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'market_data.% is for reading only', TG_TABLE_NAME
        USING HINT = 'The platform writes the table of each timeframe; use its commands or its client.';
END;
$$;
CREATE TRIGGER ohlcv_is_read_only INSTEAD OF INSERT OR UPDATE OR DELETE ON market_data.ohlcv
    FOR EACH ROW EXECUTE FUNCTION market_data.refuse_write_to_view();

CREATE TABLE market_data.indicators_1m (
    time        TIMESTAMPTZ NOT NULL,
    symbol      VARCHAR(20) NOT NULL,
    timeframe   VARCHAR(10) NOT NULL DEFAULT '1m' CHECK (timeframe = '1m'),
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
    PRIMARY KEY (time, symbol, timeframe)
);
CREATE INDEX indicators_1m_symbol_time ON market_data.indicators_1m (symbol, time DESC);
COMMENT ON TABLE market_data.indicators_1m IS 'Indicators of the 1m bars, one column each, NULL while warming up; market_data.indicators has them one a row';

CREATE TABLE market_data.indicators_5m (
    time        TIMESTAMPTZ NOT NULL,
    symbol      VARCHAR(20) NOT NULL,
    timeframe   VARCHAR(10) NOT NULL DEFAULT '5m' CHECK (timeframe = '5m'),
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
    PRIMARY KEY (time, symbol, timeframe)
);
CREATE INDEX indicators_5m_symbol_time ON market_data.indicators_5m (symbol, time DESC);
COMMENT ON TABLE market_data.indicators_5m IS 'Indicators of the 5m bars, one column each, NULL while warming up; market_data.indicators has them one a row';

CREATE TABLE market_data.indicators_1h (
    time        TIMESTAMPTZ NOT NULL,
    symbol      VARCHAR(20) NOT NULL,
    timeframe   VARCHAR(10) NOT NULL DEFAULT '1h' CHECK (timeframe = '1h'),
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
    PRIMARY KEY (time, symbol, timeframe)
);
CREATE INDEX indicators_1h_symbol_time ON market_data.indicators_1h (symbol, time DESC);
COMMENT ON TABLE market_data.indicators_1h IS 'Indicators of the 1h bars, one column each, NULL while warming up; market_data.indicators has them one a row';

CREATE TABLE market_data.indicators_1d (
    time        TIMESTAMPTZ NOT NULL,
    symbol      VARCHAR(20) NOT NULL,
    timeframe   VARCHAR(10) NOT NULL DEFAULT '1d' CHECK (timeframe = '1d'),
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
    PRIMARY KEY (time, symbol, timeframe)
);
CREATE INDEX indicators_1d_symbol_time ON market_data.indicators_1d (symbol, time DESC);
COMMENT ON TABLE market_data.indicators_1d IS 'Indicators of the 1d bars, one column each, NULL while warming up; market_data.indicators has them one a row';

-- The timeframe is a constant here: by it the planner leaves the other tables out, which it does not do
-- by their constraints below a join.
CREATE VIEW market_data.indicators AS
SELECT bar.time, bar.symbol, '1m'::VARCHAR(10) AS timeframe, named.indicator::VARCHAR(30) AS indicator, named.value::DECIMAL(18,8) AS value
FROM market_data.indicators_1m AS bar
CROSS JOIN LATERAL (VALUES
    ('sma_20', bar.sma_20),
    ('sma_50', bar.sma_50),
    ('sma_200', bar.sma_200),
    ('ema_12', bar.ema_12),
    ('ema_26', bar.ema_26),
    ('rsi_14', bar.rsi_14),
    ('macd_line', bar.macd_line),
    ('macd_signal', bar.macd_signal),
    ('macd_hist', bar.macd_hist),
    ('atr_14', bar.atr_14),
    ('bb_upper', bar.bb_upper),
    ('bb_middle', bar.bb_middle),
    ('bb_lower', bar.bb_lower),
    ('adx_14', bar.adx_14)
) AS named (indicator, value)
WHERE named.value IS NOT NULL
UNION ALL
SELECT bar.time, bar.symbol, '5m'::VARCHAR(10) AS timeframe, named.indicator::VARCHAR(30) AS indicator, named.value::DECIMAL(18,8) AS value
FROM market_data.indicators_5m AS bar
CROSS JOIN LATERAL (VALUES
    ('sma_20', bar.sma_20),
    ('sma_50', bar.sma_50),
    ('sma_200', bar.sma_200),
    ('ema_12', bar.ema_12),
    ('ema_26', bar.ema_26),
    ('rsi_14', bar.rsi_14),
    ('macd_line', bar.macd_line),
    ('macd_signal', bar.macd_signal),
    ('macd_hist', bar.macd_hist),
    ('atr_14', bar.atr_14),
    ('bb_upper', bar.bb_upper),
    ('bb_middle', bar.bb_middle),
    ('bb_lower', bar.bb_lower),
    ('adx_14', bar.adx_14)
) AS named (indicator, value)
WHERE named.value IS NOT NULL
UNION ALL
SELECT bar.time, bar.symbol, '1h'::VARCHAR(10) AS timeframe, named.indicator::VARCHAR(30) AS indicator, named.value::DECIMAL(18,8) AS value
FROM market_data.indicators_1h AS bar
CROSS JOIN LATERAL (VALUES
    ('sma_20', bar.sma_20),
    ('sma_50', bar.sma_50),
    ('sma_200', bar.sma_200),
    ('ema_12', bar.ema_12),
    ('ema_26', bar.ema_26),
    ('rsi_14', bar.rsi_14),
    ('macd_line', bar.macd_line),
    ('macd_signal', bar.macd_signal),
    ('macd_hist', bar.macd_hist),
    ('atr_14', bar.atr_14),
    ('bb_upper', bar.bb_upper),
    ('bb_middle', bar.bb_middle),
    ('bb_lower', bar.bb_lower),
    ('adx_14', bar.adx_14)
) AS named (indicator, value)
WHERE named.value IS NOT NULL
UNION ALL
SELECT bar.time, bar.symbol, '1d'::VARCHAR(10) AS timeframe, named.indicator::VARCHAR(30) AS indicator, named.value::DECIMAL(18,8) AS value
FROM market_data.indicators_1d AS bar
CROSS JOIN LATERAL (VALUES
    ('sma_20', bar.sma_20),
    ('sma_50', bar.sma_50),
    ('sma_200', bar.sma_200),
    ('ema_12', bar.ema_12),
    ('ema_26', bar.ema_26),
    ('rsi_14', bar.rsi_14),
    ('macd_line', bar.macd_line),
    ('macd_signal', bar.macd_signal),
    ('macd_hist', bar.macd_hist),
    ('atr_14', bar.atr_14),
    ('bb_upper', bar.bb_upper),
    ('bb_middle', bar.bb_middle),
    ('bb_lower', bar.bb_lower),
    ('adx_14', bar.adx_14)
) AS named (indicator, value)
WHERE named.value IS NOT NULL;
COMMENT ON VIEW market_data.indicators IS 'All indicators, one value a row as the document has them; a value still warming up has no row';
CREATE TRIGGER indicators_is_read_only INSTEAD OF INSERT OR UPDATE OR DELETE ON market_data.indicators
    FOR EACH ROW EXECUTE FUNCTION market_data.refuse_write_to_view();

CREATE TABLE market_data.coverage (
    symbol      VARCHAR(20) NOT NULL,
    timeframe   VARCHAR(10) NOT NULL,
    source      VARCHAR(20) NOT NULL,
    answered    TSTZMULTIRANGE NOT NULL,
    PRIMARY KEY (symbol, timeframe, source)
);
COMMENT ON TABLE market_data.coverage IS 'For which time each source has answered: there, a slot without a bar is proven empty';

CREATE TABLE market_data.coverage_requests (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    symbol      VARCHAR(20) NOT NULL,
    timeframe   VARCHAR(10) NOT NULL,
    source      VARCHAR(20) NOT NULL,
    asked       TSTZRANGE NOT NULL,
    outcome     VARCHAR(10) NOT NULL CHECK (outcome IN ('stored', 'empty', 'failed')),
    stored      INTEGER NOT NULL DEFAULT 0,
    refused     INTEGER NOT NULL DEFAULT 0,
    changed     BOOLEAN NOT NULL DEFAULT FALSE,
    origin      TEXT NOT NULL,
    note        TEXT,
    asked_at    TIMESTAMPTZ NOT NULL
);
CREATE INDEX coverage_requests_symbol_timeframe ON market_data.coverage_requests (symbol, timeframe, id);
COMMENT ON TABLE market_data.coverage_requests IS 'Every question put to a source and what came of it';
COMMENT ON COLUMN market_data.coverage_requests.changed IS 'Whether stored bars changed by it; the highest such id is the version of the bars for what is computed from them';

CREATE TABLE market_data.derivations (
    dataset         VARCHAR(20) NOT NULL,
    symbol          VARCHAR(20) NOT NULL,
    partition_start TIMESTAMPTZ NOT NULL,
    input_version   BIGINT NOT NULL,
    code_version    VARCHAR(20) NOT NULL,
    row_count       INTEGER NOT NULL,
    computed_at     TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (dataset, symbol, partition_start)
);
COMMENT ON TABLE market_data.derivations IS 'From which version of the bars each partition of roll-ups, indicators and features was computed';

CREATE TABLE market_data.quarantine (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recorded_at TIMESTAMPTZ NOT NULL,
    source      VARCHAR(20) NOT NULL,
    symbol      VARCHAR(20),
    timeframe   VARCHAR(10),
    time        TIMESTAMPTZ,
    origin      TEXT NOT NULL,
    line        BIGINT,
    reason      VARCHAR(30) NOT NULL,
    detail      TEXT,
    record      TEXT,
    row_count   BIGINT NOT NULL DEFAULT 1 CHECK (row_count > 0),
    fingerprint BYTEA NOT NULL UNIQUE
);
CREATE INDEX quarantine_symbol_timeframe ON market_data.quarantine (symbol, timeframe, time);
COMMENT ON TABLE market_data.quarantine IS 'Every row that was refused, with where it stood and why';
COMMENT ON COLUMN market_data.quarantine.fingerprint IS 'Hash of source, symbol, timeframe, origin, line, reason and record, so that asking twice records once';
COMMENT ON COLUMN market_data.quarantine.row_count IS 'How many rows this stands for: more than one where a whole file was refused';

CREATE TABLE config.instruments (
    symbol      VARCHAR(20) PRIMARY KEY CHECK (symbol ~ '^[A-Z0-9][A-Z0-9.-]*$'),
    asset_class VARCHAR(10) NOT NULL CHECK (asset_class IN ('equity', 'etf', 'fx', 'crypto', 'index')),
    calendar    VARCHAR(10) NOT NULL,
    source      VARCHAR(20) NOT NULL,
    sector      VARCHAR(50),
    benchmark   VARCHAR(20),
    tick_size   DECIMAL(18,8) CHECK (tick_size > 0),
    created_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at  TIMESTAMPTZ NOT NULL DEFAULT now()
);
COMMENT ON TABLE config.instruments IS 'The universe: what the platform keeps data for';

CREATE FUNCTION config.touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END;
$$;
CREATE TRIGGER instruments_touch_updated_at BEFORE UPDATE ON config.instruments
    FOR EACH ROW EXECUTE FUNCTION config.touch_updated_at();
