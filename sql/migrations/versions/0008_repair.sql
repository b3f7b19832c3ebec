-- What makes gaps repair themselves: what was committed (fingerprints), what a source said and nobody believes yet
-- (coverage.unconfirmed), what is being done about each gap, and who else may be asked:
-- docs/decisions/0028-empty-responses-are-confirmed.md, 0029-fingerprints-of-committed-bars.md.

ALTER TABLE config.instruments ADD COLUMN fallback_sources TEXT[] NOT NULL DEFAULT '{}'
    CHECK (array_position(fallback_sources, NULL) IS NULL);
COMMENT ON COLUMN config.instruments.fallback_sources IS 'Who is asked for its bars, in this order, where the source has none';

ALTER TABLE market_data.coverage ADD COLUMN unconfirmed TSTZMULTIRANGE NOT NULL DEFAULT '{}';
COMMENT ON COLUMN market_data.coverage.unconfirmed IS 'Answered with nothing though the instrument usually trades: not believed until it is said again or by another source';

-- Fingerprints ---------------------------------------------------------------------------------------

CREATE FUNCTION market_data.fingerprint_period(of_timeframe text) RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE of_timeframe WHEN '1m' THEN interval '1 hour' WHEN '5m' THEN interval '1 day'
                             WHEN '1h' THEN interval '7 days' ELSE interval '28 days' END
$$;
COMMENT ON FUNCTION market_data.fingerprint_period IS 'Span that one fingerprint of bars of a timeframe tells of; a chunk is a multiple of it';

CREATE FUNCTION market_data.bar_weight(
    "time" timestamptz, open numeric, high numeric, low numeric, close numeric, volume numeric) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- Of nothing but immutable functions, or it would be called for each row instead of being part of the statement:
    -- the epoch of an interval is one, that of a time is not.
    SELECT (COALESCE(open, -1) + 3 * COALESCE(high, -1) + 7 * COALESCE(low, -1) + 13 * COALESCE(close, -1)
            + 31 * COALESCE(volume, -1))
           * (1 + (EXTRACT(epoch FROM ("time" - timestamptz '1970-01-01 00:00:00+00'))::bigint / 60) % 10007)
$$;
COMMENT ON FUNCTION market_data.bar_weight IS 'What one bar adds to the checksum of its period: exact, so that it can be taken out again';

CREATE TABLE market_data.fingerprints (
    symbol       VARCHAR(20) NOT NULL,
    timeframe    VARCHAR(10) NOT NULL,
    period_start TIMESTAMPTZ NOT NULL,
    bar_count    INTEGER NOT NULL,
    checksum     NUMERIC NOT NULL,
    PRIMARY KEY (symbol, timeframe, period_start)
);
COMMENT ON TABLE market_data.fingerprints IS 'What was committed of bars in each period, by which lost and changed rows are noticed';
COMMENT ON COLUMN market_data.fingerprints.symbol IS 'Instrument, in the platform''s spelling';
COMMENT ON COLUMN market_data.fingerprints.timeframe IS 'Length of the bars';
COMMENT ON COLUMN market_data.fingerprints.period_start IS 'Begin of the period; its length is market_data.fingerprint_period(timeframe)';
COMMENT ON COLUMN market_data.fingerprints.bar_count IS 'How many bars were committed';
COMMENT ON COLUMN market_data.fingerprints.checksum IS 'Sum of market_data.bar_weight over them';

DO $$
DECLARE
    length text;
BEGIN
    FOREACH length IN ARRAY ARRAY['1m', '5m', '1h', '1d'] LOOP
        EXECUTE format(
            'INSERT INTO market_data.fingerprints'
            ' SELECT symbol, %1$L, date_bin(market_data.fingerprint_period(%1$L), time, timestamptz ''1970-01-01 00:00:00+00''),'
            '        count(*), sum(market_data.bar_weight(time, open, high, low, close, volume))'
            ' FROM market_data.%2$I GROUP BY 1, 3', length, 'bars_' || length);
    END LOOP;
END;
$$;

-- Gaps -----------------------------------------------------------------------------------------------

CREATE TABLE market_data.gaps (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dataset         VARCHAR(20) NOT NULL,
    symbol          VARCHAR(20) NOT NULL,
    timeframe       VARCHAR(10) NOT NULL,
    starts_at       TIMESTAMPTZ NOT NULL,
    ends_at         TIMESTAMPTZ NOT NULL CHECK (ends_at > starts_at),
    kind            VARCHAR(20) NOT NULL CHECK (kind IN ('missing', 'unconfirmed', 'vanished')),
    state           VARCHAR(10) NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'given_up')),
    attempts        INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    found_at        TIMESTAMPTZ NOT NULL,
    tried_at        TIMESTAMPTZ,
    next_attempt_at TIMESTAMPTZ,
    note            TEXT,
    incident        TEXT,
    UNIQUE (dataset, symbol, starts_at),
    CONSTRAINT gaps_due_while_open CHECK ((state = 'open') = (next_attempt_at IS NOT NULL)),
    CONSTRAINT gaps_given_up_in_an_incident CHECK (state <> 'given_up' OR incident IS NOT NULL)
);
CREATE INDEX gaps_due ON market_data.gaps (next_attempt_at) WHERE state = 'open';
CREATE INDEX gaps_incident ON market_data.gaps (incident) WHERE incident IS NOT NULL;
COMMENT ON TABLE market_data.gaps IS 'What is missing inside of what is known, and what was done about it; gone from here when it is repaired';
COMMENT ON COLUMN market_data.gaps.id IS 'Order of finding';
COMMENT ON COLUMN market_data.gaps.dataset IS 'Asset it is missing in: ohlcv_1m, indicators_1d';
COMMENT ON COLUMN market_data.gaps.symbol IS 'Instrument, in the platform''s spelling';
COMMENT ON COLUMN market_data.gaps.timeframe IS 'Length of the bars';
COMMENT ON COLUMN market_data.gaps.starts_at IS 'Open of the first missing bar';
COMMENT ON COLUMN market_data.gaps.ends_at IS 'End of the last missing bar';
COMMENT ON COLUMN market_data.gaps.kind IS 'missing: nobody has answered; unconfirmed: an empty answer to be asked again; vanished: stored once, lost or changed since';
COMMENT ON COLUMN market_data.gaps.state IS 'open: to be repaired; given_up: somebody must look at it';
COMMENT ON COLUMN market_data.gaps.attempts IS 'How often a repair has begun';
COMMENT ON COLUMN market_data.gaps.found_at IS 'When it was found';
COMMENT ON COLUMN market_data.gaps.tried_at IS 'When a repair last began';
COMMENT ON COLUMN market_data.gaps.next_attempt_at IS 'When to try next; while it is being tried, when to take that for failed';
COMMENT ON COLUMN market_data.gaps.note IS 'What came of the last attempt';
COMMENT ON COLUMN market_data.gaps.incident IS 'Which alert told that it was given up, the same for all that one alert told of; kept while it is tried again';

DO $$ BEGIN PERFORM config.grant_roles(); END $$;
GRANT EXECUTE ON FUNCTION market_data.fingerprint_period, market_data.bar_weight TO ingest, agent, dashboard;
