-- Where a source that answers piece by piece goes on, and what two tiers of one source said of the same bars:
-- docs/decisions/0026-kraken-source-priority.md.

CREATE TABLE market_data.resume_points (
    symbol     VARCHAR(20) NOT NULL,
    timeframe  VARCHAR(5) NOT NULL,
    source     VARCHAR(20) NOT NULL,
    at         TIMESTAMPTZ NOT NULL,
    token      JSONB NOT NULL CHECK (jsonb_typeof(token) = 'object'),
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (symbol, timeframe, source)
);
COMMENT ON TABLE market_data.resume_points IS 'Where the last request of many pages goes on, written in the transaction of its bars';
COMMENT ON COLUMN market_data.resume_points.symbol IS 'Instrument, in the platform''s spelling';
COMMENT ON COLUMN market_data.resume_points.timeframe IS 'Length of the bars asked for';
COMMENT ON COLUMN market_data.resume_points.source IS 'Who is asked';
COMMENT ON COLUMN market_data.resume_points.at IS 'All bars before this are stored; a request that begins here goes on by the token';
COMMENT ON COLUMN market_data.resume_points.token IS 'Cursor and unfinished bar, in the words of the source';
COMMENT ON COLUMN market_data.resume_points.updated_at IS 'When it was written';

CREATE TABLE market_data.overlaps (
    symbol      VARCHAR(20) NOT NULL,
    timeframe   VARCHAR(5) NOT NULL,
    source      VARCHAR(20) NOT NULL,
    tier        VARCHAR(40) NOT NULL,
    compared    TSTZMULTIRANGE NOT NULL,
    compared_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (symbol, timeframe, source, tier)
);
COMMENT ON TABLE market_data.overlaps IS 'Which stored bars were heard a second time of their source and compared; where not in overlap_differences, they agree';
COMMENT ON COLUMN market_data.overlaps.symbol IS 'Instrument, in the platform''s spelling';
COMMENT ON COLUMN market_data.overlaps.timeframe IS 'Length of the bars';
COMMENT ON COLUMN market_data.overlaps.source IS 'Whose bars';
COMMENT ON COLUMN market_data.overlaps.tier IS 'Where they were heard the second time: Trades, OHLC, OHLCVT archive, trades archive';
COMMENT ON COLUMN market_data.overlaps.compared IS 'The bars compared';
COMMENT ON COLUMN market_data.overlaps.compared_at IS 'When the last of them were';

CREATE TABLE market_data.overlap_differences (
    symbol      VARCHAR(20) NOT NULL,
    timeframe   VARCHAR(5) NOT NULL,
    source      VARCHAR(20) NOT NULL,
    tier        VARCHAR(40) NOT NULL,
    time        TIMESTAMPTZ NOT NULL,
    stored      TEXT NOT NULL,
    heard       TEXT NOT NULL,
    replaced    BOOLEAN NOT NULL,
    origin      TEXT NOT NULL,
    compared_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (symbol, timeframe, source, tier, time)
);
COMMENT ON TABLE market_data.overlap_differences IS 'Bars of which two tiers of a source say different things; gone once they agree';
COMMENT ON COLUMN market_data.overlap_differences.symbol IS 'Instrument, in the platform''s spelling';
COMMENT ON COLUMN market_data.overlap_differences.timeframe IS 'Length of the bar';
COMMENT ON COLUMN market_data.overlap_differences.source IS 'Whose bar';
COMMENT ON COLUMN market_data.overlap_differences.tier IS 'Where it was heard the second time';
COMMENT ON COLUMN market_data.overlap_differences.time IS 'Open of the bar';
COMMENT ON COLUMN market_data.overlap_differences.stored IS 'The bar that was stored: open, high, low, close, volume';
COMMENT ON COLUMN market_data.overlap_differences.heard IS 'The bar as heard the second time';
COMMENT ON COLUMN market_data.overlap_differences.replaced IS 'Whether what was heard took its place, being of the finer tier';
COMMENT ON COLUMN market_data.overlap_differences.origin IS 'What was asked or read';
COMMENT ON COLUMN market_data.overlap_differences.compared_at IS 'When it was noticed';

DO $$ BEGIN PERFORM config.grant_roles(); END $$;
