-- What the live path keeps (data-architecture §4, §7.1): how far each stream is stored, and when a feed was down.
-- The bars themselves go where all bars go: docs/decisions/0019-stream-commits-bars-with-position.md.

CREATE TABLE market_data.stream_positions (
    stream     TEXT PRIMARY KEY CHECK (stream <> ''),
    position   JSONB NOT NULL CHECK (jsonb_typeof(position) = 'object'),
    until      TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
COMMENT ON TABLE market_data.stream_positions IS 'How far each stream is stored, written in the transaction of its bars';
COMMENT ON COLUMN market_data.stream_positions.stream IS 'Name of the stream: a feed, or a file that is replayed';
COMMENT ON COLUMN market_data.stream_positions.position IS 'Where in its input the stream goes on, in the words of its reader';
COMMENT ON COLUMN market_data.stream_positions.until IS 'All minutes before this are final';
COMMENT ON COLUMN market_data.stream_positions.updated_at IS 'When it was written';

CREATE TABLE market_data.outages (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source          VARCHAR(20) NOT NULL,
    symbol          VARCHAR(20) NOT NULL,
    down_at         TIMESTAMPTZ NOT NULL,
    up_at           TIMESTAMPTZ CHECK (up_at >= down_at),
    reason          TEXT NOT NULL,
    state           VARCHAR(10) NOT NULL DEFAULT 'open'
                    CHECK (state IN ('open', 'closed', 'repairing', 'repaired', 'given_up')),
    attempts        INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    next_attempt_at TIMESTAMPTZ,
    note            TEXT,
    repaired_at     TIMESTAMPTZ,
    UNIQUE (source, symbol, down_at),
    CONSTRAINT outages_open_until_up CHECK ((state = 'open') = (up_at IS NULL)),
    CONSTRAINT outages_repaired_at_when_repaired CHECK ((state = 'repaired') = (repaired_at IS NOT NULL)),
    CONSTRAINT outages_due_while_unrepaired CHECK ((state IN ('closed', 'repairing')) = (next_attempt_at IS NOT NULL))
);
CREATE UNIQUE INDEX outages_open ON market_data.outages (source, symbol) WHERE state = 'open';
CREATE INDEX outages_due ON market_data.outages (next_attempt_at) WHERE state IN ('closed', 'repairing');
COMMENT ON TABLE market_data.outages IS 'When what happened to an instrument was not told by its feed, and what became of it';
COMMENT ON COLUMN market_data.outages.id IS 'Order of writing';
COMMENT ON COLUMN market_data.outages.source IS 'Whose feed';
COMMENT ON COLUMN market_data.outages.symbol IS 'Instrument, in the platform''s spelling';
COMMENT ON COLUMN market_data.outages.down_at IS 'From when on nothing was told, at the latest';
COMMENT ON COLUMN market_data.outages.up_at IS 'Until when; NULL: it goes on';
COMMENT ON COLUMN market_data.outages.reason IS 'Why, in words; late events: a minute that was final already';
COMMENT ON COLUMN market_data.outages.state IS 'open; closed: to be repaired; repairing; repaired; given_up: somebody must look at it';
COMMENT ON COLUMN market_data.outages.attempts IS 'How often a repair has begun';
COMMENT ON COLUMN market_data.outages.next_attempt_at IS 'When to try to repair it; while it is being repaired, when to take that for failed';
COMMENT ON COLUMN market_data.outages.note IS 'What came of the last attempt';
COMMENT ON COLUMN market_data.outages.repaired_at IS 'When its minutes were asked for and stored';

-- The stream writes each minute; one row a symbol and day tells of all of them, and its id moves on with each change.
CREATE UNIQUE INDEX coverage_requests_stream ON market_data.coverage_requests (symbol, timeframe, source, lower(asked))
    WHERE origin = 'stream';

CREATE FUNCTION trading.notify_position() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('positions', CASE WHEN TG_OP = 'DELETE' THEN OLD.symbol ELSE NEW.symbol END);
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION trading.notify_position IS 'Tells who listens on the channel positions whose position has changed';
CREATE TRIGGER positions_notify AFTER INSERT OR UPDATE OR DELETE ON trading.positions
    FOR EACH ROW EXECUTE FUNCTION trading.notify_position();

DO $$ BEGIN PERFORM config.grant_roles(); END $$;
-- The streamer mirrors positions in Redis.
GRANT SELECT ON trading.positions TO ingest;
