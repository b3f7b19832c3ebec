-- The ledger, the audit trail, strategies and limits, the feature catalog and news (data-architecture §2, §6.1, §7.2).
-- Columns, types and keys are the document's. What is added to it: docs/decisions/0011 to 0014.
-- DECIMAL can hold 'NaN', which PostgreSQL sorts above every number: a lower bound alone would let it in.

CREATE SCHEMA trading;
CREATE SCHEMA audit;
CREATE SCHEMA features;
CREATE SCHEMA news;
COMMENT ON SCHEMA trading IS 'Orders, their fills, and the positions that follow from them';
COMMENT ON SCHEMA audit IS 'Why something was done, and what happened in the system; by month';
COMMENT ON SCHEMA features IS 'What the columns of the feature store mean';
COMMENT ON SCHEMA news IS 'News as they came, and what was read out of them';

CREATE TYPE trading.order_status AS ENUM ('pending', 'sent', 'partial', 'filled', 'cancelled', 'rejected');
CREATE TYPE trading.order_side AS ENUM ('buy', 'sell');
CREATE TYPE trading.broker_type AS ENUM ('ibkr', 'kraken');
CREATE TYPE trading.order_type AS ENUM ('market', 'limit', 'stop_limit');
CREATE TYPE audit.severity_level AS ENUM ('info', 'warning', 'error', 'critical');
COMMENT ON TYPE trading.order_status IS 'Where an order is in its life; trading.guard_order knows which steps there are';
COMMENT ON TYPE trading.order_side IS 'Direction of an order or fill';
COMMENT ON TYPE trading.broker_type IS 'Who executes';
COMMENT ON TYPE trading.order_type IS 'How an order is to be executed';
COMMENT ON TYPE audit.severity_level IS 'How bad an event is';

-- config ----------------------------------------------------------------------------------------

CREATE TABLE config.strategies (
    id              VARCHAR(50) PRIMARY KEY CHECK (id <> ''),
    name            VARCHAR(100) NOT NULL,
    enabled         BOOLEAN NOT NULL DEFAULT FALSE,
    params          JSONB NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(params) = 'object'),
    allowed_symbols TEXT[],
    regime_filter   TEXT[],
    max_positions   INTEGER CHECK (max_positions >= 0),
    created_at      TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at      TIMESTAMPTZ NOT NULL DEFAULT now()
);
COMMENT ON TABLE config.strategies IS 'The strategies that may place orders';
COMMENT ON COLUMN config.strategies.id IS 'Short name, for example momentum_eu_v1';
COMMENT ON COLUMN config.strategies.name IS 'Name for people';
COMMENT ON COLUMN config.strategies.enabled IS 'Whether it runs; a new one does not until somebody says so';
COMMENT ON COLUMN config.strategies.params IS 'Its parameters, an object';
COMMENT ON COLUMN config.strategies.allowed_symbols IS 'Symbols it may trade; NULL: all';
COMMENT ON COLUMN config.strategies.regime_filter IS 'Market regimes it runs in; NULL: all';
COMMENT ON COLUMN config.strategies.max_positions IS 'How many positions it may hold at once; NULL: no limit';
COMMENT ON COLUMN config.strategies.created_at IS 'When it was added';
COMMENT ON COLUMN config.strategies.updated_at IS 'When it last changed; kept by the database';
CREATE TRIGGER strategies_touch_updated_at BEFORE UPDATE ON config.strategies
    FOR EACH ROW EXECUTE FUNCTION config.touch_updated_at();

CREATE TABLE config.risk_limits (
    key         VARCHAR(50) PRIMARY KEY CHECK (key <> ''),
    value       DECIMAL(18,8) NOT NULL CHECK (value <> 'NaN'),
    description TEXT,
    updated_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_by  VARCHAR(50) NOT NULL
);
COMMENT ON TABLE config.risk_limits IS 'Limits that every order is checked against';
COMMENT ON COLUMN config.risk_limits.key IS 'Name of the limit, for example max_position_pct';
COMMENT ON COLUMN config.risk_limits.value IS 'The limit';
COMMENT ON COLUMN config.risk_limits.description IS 'What it limits, in words';
COMMENT ON COLUMN config.risk_limits.updated_at IS 'When it last changed; kept by the database';
COMMENT ON COLUMN config.risk_limits.updated_by IS 'Who changed it: as given, else the session''s application name, else its user';

-- Whether a statement names updated_by only shows in which triggers fire (UPDATE OF). They fire in the
-- order of their names, all of them for a row before any for the next.
CREATE FUNCTION config.note_updated_by_is_given() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('config.updated_by_is_given', 'yes', TRUE);
    RETURN NEW;
END;
$$;
CREATE FUNCTION config.stamp_risk_limit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND current_setting('config.updated_by_is_given', TRUE) IS DISTINCT FROM 'yes' THEN
        NEW.updated_by := NULL;
    END IF;
    PERFORM set_config('config.updated_by_is_given', '', TRUE);
    NEW.updated_by := COALESCE(
        NULLIF(NEW.updated_by, ''), left(NULLIF(current_setting('application_name'), ''), 50), left(session_user, 50));
    NEW.updated_at := now();
    RETURN NEW;
END;
$$;
CREATE TRIGGER risk_limits_1_note_updated_by BEFORE UPDATE OF updated_by ON config.risk_limits
    FOR EACH ROW EXECUTE FUNCTION config.note_updated_by_is_given();
CREATE TRIGGER risk_limits_2_stamp BEFORE INSERT OR UPDATE ON config.risk_limits
    FOR EACH ROW EXECUTE FUNCTION config.stamp_risk_limit();

-- trading ---------------------------------------------------------------------------------------

CREATE TABLE trading.orders (
    id              UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    symbol          VARCHAR(20) NOT NULL CHECK (symbol ~ '^[A-Z0-9][A-Z0-9.-]*$'),
    side            trading.order_side NOT NULL,
    order_type      trading.order_type NOT NULL,
    quantity        DECIMAL(18,8) NOT NULL CHECK (quantity > 0 AND quantity <> 'NaN'),
    price           DECIMAL(18,8) CHECK (price > 0 AND price <> 'NaN'),
    status          trading.order_status NOT NULL DEFAULT 'pending',
    broker          trading.broker_type NOT NULL,
    broker_order_id VARCHAR(50) CHECK (broker_order_id <> ''),
    strategy_id     VARCHAR(50) REFERENCES config.strategies (id),
    created_at      TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at      TIMESTAMPTZ NOT NULL DEFAULT now(),
    filled_at       TIMESTAMPTZ,
    filled_qty      DECIMAL(18,8) NOT NULL DEFAULT 0,
    avg_fill_price  DECIMAL(18,8) CHECK (avg_fill_price > 0 AND avg_fill_price <> 'NaN'),
    commission      DECIMAL(18,8) NOT NULL DEFAULT 0 CHECK (commission <> 'NaN'),
    CONSTRAINT orders_filled_within_quantity CHECK (filled_qty >= 0 AND filled_qty <= quantity),
    CONSTRAINT orders_price_unless_market CHECK ((order_type = 'market') = (price IS NULL)),
    CONSTRAINT orders_average_where_filled CHECK ((filled_qty = 0) = (avg_fill_price IS NULL)),
    CONSTRAINT orders_filled_at_when_filled CHECK ((status = 'filled') = (filled_at IS NOT NULL)),
    CONSTRAINT orders_status_fits_filled CHECK (
        CASE status
            WHEN 'partial' THEN filled_qty > 0 AND filled_qty < quantity
            WHEN 'filled' THEN filled_qty = quantity
            WHEN 'cancelled' THEN TRUE
            ELSE filled_qty = 0
        END)
);
CREATE INDEX orders_symbol_created_at ON trading.orders (symbol, created_at);
CREATE INDEX orders_status ON trading.orders (status);
CREATE INDEX orders_strategy_id_created_at ON trading.orders (strategy_id, created_at);
COMMENT ON TABLE trading.orders IS 'Every order, from the intention to its end; none is ever deleted';
COMMENT ON COLUMN trading.orders.id IS 'Chosen by who places it, so that placing twice is placing once';
COMMENT ON COLUMN trading.orders.symbol IS 'Instrument, in the platform''s spelling';
COMMENT ON COLUMN trading.orders.side IS 'Direction';
COMMENT ON COLUMN trading.orders.order_type IS 'How it is to be executed';
COMMENT ON COLUMN trading.orders.quantity IS 'How much was ordered';
COMMENT ON COLUMN trading.orders.price IS 'Limit price; NULL for a market order and for no other';
COMMENT ON COLUMN trading.orders.status IS 'Where it is in its life';
COMMENT ON COLUMN trading.orders.broker IS 'Who is to execute it';
COMMENT ON COLUMN trading.orders.broker_order_id IS 'The broker''s own name for it, once known';
COMMENT ON COLUMN trading.orders.strategy_id IS 'Which strategy wanted it; NULL: a person';
COMMENT ON COLUMN trading.orders.created_at IS 'When it was placed';
COMMENT ON COLUMN trading.orders.updated_at IS 'When it last changed; kept by the database';
COMMENT ON COLUMN trading.orders.filled_at IS 'When its last fill was executed, once it is filled';
COMMENT ON COLUMN trading.orders.filled_qty IS 'Sum of its fills';
COMMENT ON COLUMN trading.orders.avg_fill_price IS 'Average price of its fills, weighted by quantity, half even to 8 decimals; NULL without one';
COMMENT ON COLUMN trading.orders.commission IS 'Sum of its fills'' commissions; negative: a rebate';

CREATE TABLE trading.trades (
    id          UUID PRIMARY KEY,
    order_id    UUID NOT NULL REFERENCES trading.orders (id),
    symbol      VARCHAR(20) NOT NULL,
    side        trading.order_side NOT NULL,
    quantity    DECIMAL(18,8) NOT NULL CHECK (quantity > 0 AND quantity <> 'NaN'),
    price       DECIMAL(18,8) NOT NULL CHECK (price > 0 AND price <> 'NaN'),
    commission  DECIMAL(18,8) NOT NULL DEFAULT 0 CHECK (commission <> 'NaN'),
    executed_at TIMESTAMPTZ NOT NULL,
    broker      trading.broker_type NOT NULL
);
CREATE INDEX trades_order_id ON trading.trades (order_id);
CREATE INDEX trades_symbol_executed_at ON trading.trades (symbol, executed_at, id);
COMMENT ON TABLE trading.trades IS 'Executed fills; written once, never changed';
COMMENT ON COLUMN trading.trades.id IS 'UUID version 5 of broker and broker''s fill id: the same fill can only be here once';
COMMENT ON COLUMN trading.trades.order_id IS 'The order it fills';
COMMENT ON COLUMN trading.trades.symbol IS 'The order''s symbol';
COMMENT ON COLUMN trading.trades.side IS 'The order''s direction';
COMMENT ON COLUMN trading.trades.quantity IS 'How much was executed';
COMMENT ON COLUMN trading.trades.price IS 'At what price';
COMMENT ON COLUMN trading.trades.commission IS 'What the broker took for it, in the currency of the price; negative: a rebate';
COMMENT ON COLUMN trading.trades.executed_at IS 'When, by the broker''s clock';
COMMENT ON COLUMN trading.trades.broker IS 'The order''s broker';

CREATE TABLE trading.positions (
    symbol          VARCHAR(20) PRIMARY KEY,
    quantity        DECIMAL(18,8) NOT NULL DEFAULT 0 CHECK (quantity <> 'NaN'),
    avg_entry_price DECIMAL(18,8) CHECK (avg_entry_price >= 0 AND avg_entry_price <> 'NaN'),
    current_price   DECIMAL(18,8) CHECK (current_price > 0 AND current_price <> 'NaN'),
    unrealized_pnl  DECIMAL(18,8) NOT NULL DEFAULT 0 CHECK (unrealized_pnl <> 'NaN'),
    realized_pnl    DECIMAL(18,8) NOT NULL DEFAULT 0 CHECK (realized_pnl <> 'NaN'),
    opened_at       TIMESTAMPTZ,
    updated_at      TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT positions_entry_where_open CHECK (
        (quantity = 0) = (avg_entry_price IS NULL) AND (quantity = 0) = (opened_at IS NULL)),
    CONSTRAINT positions_flat_has_nothing_unrealized CHECK (quantity <> 0 OR unrealized_pnl = 0)
);
COMMENT ON TABLE trading.positions IS 'What is held now, and what each symbol has earned so far; follows from trading.trades';
COMMENT ON COLUMN trading.positions.symbol IS 'Instrument';
COMMENT ON COLUMN trading.positions.quantity IS 'How much is held; negative: short';
COMMENT ON COLUMN trading.positions.avg_entry_price IS 'Average cost of what is held, commissions apart, half even to 8 decimals; for reading, nothing is computed from it';
COMMENT ON COLUMN trading.positions.current_price IS 'Last known price: of the newest fill, or as marked since';
COMMENT ON COLUMN trading.positions.unrealized_pnl IS 'Worth at current_price less cost';
COMMENT ON COLUMN trading.positions.realized_pnl IS 'Earned by closing, less every commission paid, since the first fill';
COMMENT ON COLUMN trading.positions.opened_at IS 'First entry of what is held now; NULL when nothing is';
COMMENT ON COLUMN trading.positions.updated_at IS 'When it last changed; kept by the database';

CREATE TABLE trading.position_history (
    symbol       VARCHAR(20) NOT NULL,
    executed_at  TIMESTAMPTZ NOT NULL,
    trade_id     UUID NOT NULL UNIQUE REFERENCES trading.trades (id),
    quantity     DECIMAL(18,8) NOT NULL CHECK (quantity <> 'NaN'),
    cost         DECIMAL(48,24) NOT NULL CHECK (cost <> 'NaN'),
    realized_pnl DECIMAL(48,24) NOT NULL CHECK (realized_pnl <> 'NaN'),
    opened_at    TIMESTAMPTZ,
    PRIMARY KEY (symbol, executed_at, trade_id)
);
COMMENT ON TABLE trading.position_history IS 'The position after each fill, in the order of execution, with its exact cost; trading.positions shows the last, rounded';
COMMENT ON COLUMN trading.position_history.symbol IS 'Instrument';
COMMENT ON COLUMN trading.position_history.executed_at IS 'When the fill was executed';
COMMENT ON COLUMN trading.position_history.trade_id IS 'The fill';
COMMENT ON COLUMN trading.position_history.quantity IS 'Held after it; negative: short';
COMMENT ON COLUMN trading.position_history.cost IS 'What that cost, signed as quantity is';
COMMENT ON COLUMN trading.position_history.realized_pnl IS 'Earned up to it, less commissions';
COMMENT ON COLUMN trading.position_history.opened_at IS 'First entry of what is held after it';

CREATE TABLE trading.outbox (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id     UUID NOT NULL REFERENCES trading.orders (id),
    payload      JSONB NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    seq          BIGINT UNIQUE CHECK (seq > 0),
    published_at TIMESTAMPTZ,
    CONSTRAINT outbox_numbered_before_published CHECK (published_at IS NULL OR seq IS NOT NULL)
);
CREATE INDEX outbox_unpublished ON trading.outbox (id) WHERE published_at IS NULL;
COMMENT ON TABLE trading.outbox IS 'What is to be told on the channel and stream orders, written with what it tells of';
COMMENT ON COLUMN trading.outbox.id IS 'Order of writing';
COMMENT ON COLUMN trading.outbox.order_id IS 'The order it is about';
COMMENT ON COLUMN trading.outbox.payload IS 'What to tell';
COMMENT ON COLUMN trading.outbox.created_at IS 'When it happened';
COMMENT ON COLUMN trading.outbox.seq IS 'Its number in the stream, without gaps; given by the publisher after the commit';
COMMENT ON COLUMN trading.outbox.published_at IS 'When it was told';

CREATE FUNCTION trading.touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Not now(): a transaction that waited for this row began before the change it follows.
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END;
$$;
CREATE TRIGGER positions_touch_updated_at BEFORE UPDATE ON trading.positions
    FOR EACH ROW EXECUTE FUNCTION trading.touch_updated_at();
CREATE TRIGGER orders_touch_updated_at BEFORE UPDATE ON trading.orders
    FOR EACH ROW EXECUTE FUNCTION trading.touch_updated_at();

-- The same steps as trading_platform/domain/orders.py; a test holds the two together.
CREATE FUNCTION trading.guard_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status <> 'pending' THEN
            RAISE EXCEPTION 'an order begins as pending, not as %', NEW.status USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF NEW.status <> OLD.status AND (OLD.status, NEW.status) NOT IN (
        ('pending', 'sent'), ('pending', 'cancelled'), ('pending', 'rejected'),
        ('sent', 'partial'), ('sent', 'filled'), ('sent', 'cancelled'), ('sent', 'rejected'),
        ('partial', 'filled'), ('partial', 'cancelled')
    ) THEN
        RAISE EXCEPTION 'order % cannot go from % to %', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation';
    END IF;
    IF (NEW.id, NEW.symbol, NEW.side, NEW.order_type, NEW.quantity, NEW.price, NEW.broker, NEW.strategy_id,
        NEW.created_at)
       IS DISTINCT FROM (OLD.id, OLD.symbol, OLD.side, OLD.order_type, OLD.quantity, OLD.price, OLD.broker,
        OLD.strategy_id, OLD.created_at) THEN
        RAISE EXCEPTION 'what was ordered by % cannot be changed', OLD.id USING ERRCODE = 'check_violation',
            HINT = 'Cancel it and place another.';
    END IF;
    IF NEW.filled_qty < OLD.filled_qty THEN
        RAISE EXCEPTION 'order % cannot become less filled', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    IF OLD.status IN ('filled', 'rejected')
       AND (NEW.filled_qty, NEW.avg_fill_price, NEW.commission, NEW.filled_at, NEW.broker_order_id)
           IS DISTINCT FROM (OLD.filled_qty, OLD.avg_fill_price, OLD.commission, OLD.filled_at, OLD.broker_order_id)
    THEN
        RAISE EXCEPTION 'order % is %, which is final', OLD.id, OLD.status USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END;
$$;
CREATE TRIGGER orders_guard BEFORE INSERT OR UPDATE ON trading.orders
    FOR EACH ROW EXECUTE FUNCTION trading.guard_order();

CREATE FUNCTION trading.guard_trade() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM trading.orders AS placed
        WHERE placed.id = NEW.order_id
          AND (placed.symbol, placed.side, placed.broker) = (NEW.symbol, NEW.side, NEW.broker)
    ) THEN
        RAISE EXCEPTION 'fill % has another symbol, side or broker than order %', NEW.id, NEW.order_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END;
$$;
CREATE TRIGGER trades_guard BEFORE INSERT ON trading.trades
    FOR EACH ROW EXECUTE FUNCTION trading.guard_trade();

CREATE FUNCTION trading.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of %.% stay as they are', TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'check_violation', HINT = 'What is wrong in a ledger is put right by a further entry.';
END;
$$;
CREATE TRIGGER trades_stay BEFORE UPDATE OR DELETE ON trading.trades
    FOR EACH ROW EXECUTE FUNCTION trading.refuse_change();
CREATE TRIGGER orders_stay BEFORE DELETE ON trading.orders
    FOR EACH ROW EXECUTE FUNCTION trading.refuse_change();

-- audit -----------------------------------------------------------------------------------------

CREATE TABLE audit.decisions (
    id            UUID NOT NULL DEFAULT gen_random_uuid(),
    "timestamp"   TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    decision_type VARCHAR(50) NOT NULL,
    symbol        VARCHAR(20),
    signals       JSONB,
    risk_check    JSONB,
    final_action  VARCHAR(50),
    reasoning     TEXT,
    order_id      UUID REFERENCES trading.orders (id),
    PRIMARY KEY (id, "timestamp")
) PARTITION BY RANGE ("timestamp");
CREATE INDEX decisions_timestamp ON audit.decisions ("timestamp");
COMMENT ON TABLE audit.decisions IS 'What was decided, on what grounds, and what came of it; a partition a month';
COMMENT ON COLUMN audit.decisions.id IS 'The decision; the key has the time too, because a partitioned table wants it there';
COMMENT ON COLUMN audit.decisions."timestamp" IS 'When it was taken';
COMMENT ON COLUMN audit.decisions.decision_type IS 'entry, exit, skip, …';
COMMENT ON COLUMN audit.decisions.symbol IS 'Instrument; NULL: the whole portfolio';
COMMENT ON COLUMN audit.decisions.signals IS 'The signals it was taken on, as they were then';
COMMENT ON COLUMN audit.decisions.risk_check IS 'What the validation of risk said';
COMMENT ON COLUMN audit.decisions.final_action IS 'What was done';
COMMENT ON COLUMN audit.decisions.reasoning IS 'Why, in words';
COMMENT ON COLUMN audit.decisions.order_id IS 'The order that came of it, if one did';

CREATE TABLE audit.system_events (
    id          BIGSERIAL NOT NULL,
    "timestamp" TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    event_type  VARCHAR(50) NOT NULL,
    severity    audit.severity_level NOT NULL,
    component   VARCHAR(50) NOT NULL,
    message     TEXT NOT NULL,
    metadata    JSONB,
    PRIMARY KEY (id, "timestamp")
) PARTITION BY RANGE ("timestamp");
CREATE INDEX system_events_timestamp ON audit.system_events ("timestamp");
COMMENT ON TABLE audit.system_events IS 'What happened in the system; a partition a month';
COMMENT ON COLUMN audit.system_events.id IS 'Running number; the key has the time too, because a partitioned table wants it there';
COMMENT ON COLUMN audit.system_events."timestamp" IS 'When it happened';
COMMENT ON COLUMN audit.system_events.event_type IS 'Kind of event';
COMMENT ON COLUMN audit.system_events.severity IS 'How bad it is';
COMMENT ON COLUMN audit.system_events.component IS 'Who says so';
COMMENT ON COLUMN audit.system_events.message IS 'What happened, in words';
COMMENT ON COLUMN audit.system_events.metadata IS 'Further data';

CREATE TABLE audit.decisions_default PARTITION OF audit.decisions DEFAULT;
CREATE TABLE audit.system_events_default PARTITION OF audit.system_events DEFAULT;
COMMENT ON TABLE audit.decisions_default IS 'Decisions of months without a partition; audit.make_partition moves them when it makes one';
COMMENT ON TABLE audit.system_events_default IS 'Events of months without a partition; audit.make_partition moves them when it makes one';

CREATE FUNCTION audit.make_partition(parent text, partition text, first timestamptz, after timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- In the order in which the ledger takes them, which writes orders before events; attaching would lock
    -- the orders, to which the key refers, last. Writers must wait at the table itself: one that waited at its
    -- default partition would go on to write there what belongs into the new one, and be refused.
    LOCK TABLE trading.orders IN SHARE ROW EXCLUSIVE MODE;
    EXECUTE format('LOCK TABLE ONLY audit.%I IN SHARE ROW EXCLUSIVE MODE', parent);
    EXECUTE format('LOCK TABLE audit.%I IN ACCESS EXCLUSIVE MODE', parent || '_default');
    EXECUTE format('CREATE TABLE audit.%I (LIKE audit.%I INCLUDING ALL)', partition, parent);
    EXECUTE format(
        'WITH moved AS (DELETE FROM audit.%I WHERE "timestamp" >= %L AND "timestamp" < %L RETURNING *)'
        ' INSERT INTO audit.%I SELECT * FROM moved', parent || '_default', first, after, partition);
    EXECUTE format(
        'ALTER TABLE audit.%I ATTACH PARTITION audit.%I FOR VALUES FROM (%L) TO (%L)', parent, partition, first, after);
    EXECUTE format(
        'COMMENT ON TABLE audit.%I IS %L', partition,
        format('%s of %s, by UTC', parent, to_char(first AT TIME ZONE 'UTC', 'YYYY-MM')));
END;
$$;
COMMENT ON FUNCTION audit.make_partition IS 'Makes one month''s partition and moves there what the default one holds of that month';

CREATE FUNCTION audit.ensure_partitions(since timestamptz DEFAULT now(), months_ahead integer DEFAULT 3)
RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    partition text;
    month timestamp;
BEGIN
    PERFORM pg_advisory_xact_lock(7406002);  -- one at a time
    FOREACH parent IN ARRAY ARRAY['decisions', 'system_events'] LOOP
        FOR month IN
            SELECT generate_series(
                date_trunc('month', since AT TIME ZONE 'UTC'),
                date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => months_ahead),
                interval '1 month')
        LOOP
            partition := parent || to_char(month, '"_"YYYY"_"MM');
            CONTINUE WHEN to_regclass(format('audit.%I', partition)) IS NOT NULL;
            PERFORM audit.make_partition(
                parent, partition, month AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC');
            RETURN NEXT partition;
        END LOOP;
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit.ensure_partitions IS 'Makes the missing monthly partitions from a moment on until some months ahead, and names them';
DO $$ BEGIN PERFORM audit.ensure_partitions(); END $$;

-- features --------------------------------------------------------------------------------------

CREATE TABLE features.catalog (
    feature_name  VARCHAR(50) PRIMARY KEY,
    description   TEXT,
    data_type     VARCHAR(20),
    category      VARCHAR(30),
    computation   TEXT,
    dependencies  TEXT[],
    lookback_days INTEGER CHECK (lookback_days >= 0),
    updated_at    TIMESTAMPTZ DEFAULT now()
);
COMMENT ON TABLE features.catalog IS 'The features there are, filled from their definitions in code';
COMMENT ON COLUMN features.catalog.feature_name IS 'Column in the feature store';
COMMENT ON COLUMN features.catalog.description IS 'What it says';
COMMENT ON COLUMN features.catalog.data_type IS 'Type of its values';
COMMENT ON COLUMN features.catalog.category IS 'technical, fundamental, sentiment, cross-sectional';
COMMENT ON COLUMN features.catalog.computation IS 'Formula, or how it is computed';
COMMENT ON COLUMN features.catalog.dependencies IS 'Features it is computed from';
COMMENT ON COLUMN features.catalog.lookback_days IS 'History it needs';
COMMENT ON COLUMN features.catalog.updated_at IS 'When its definition last changed; kept by the database';
CREATE TRIGGER catalog_touch_updated_at BEFORE UPDATE ON features.catalog
    FOR EACH ROW EXECUTE FUNCTION config.touch_updated_at();

-- news ------------------------------------------------------------------------------------------

CREATE TABLE news.raw_news (
    id            UUID PRIMARY KEY,
    source        VARCHAR(50) NOT NULL,
    external_id   TEXT NOT NULL,
    url           TEXT,
    title         TEXT NOT NULL,
    summary       TEXT,
    content       TEXT,
    author        TEXT,
    language      VARCHAR(10),
    symbols       TEXT[] NOT NULL DEFAULT '{}',
    published_at  TIMESTAMPTZ,
    first_seen_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (source, external_id)
);
CREATE INDEX raw_news_first_seen_at ON news.raw_news (first_seen_at);
COMMENT ON TABLE news.raw_news IS 'News as they came';
COMMENT ON COLUMN news.raw_news.id IS 'The item';
COMMENT ON COLUMN news.raw_news.source IS 'Who gave it: a feed, or NewsAPI';
COMMENT ON COLUMN news.raw_news.external_id IS 'The source''s own name for it: the feed''s id, else its address';
COMMENT ON COLUMN news.raw_news.url IS 'Where it can be read';
COMMENT ON COLUMN news.raw_news.title IS 'Headline';
COMMENT ON COLUMN news.raw_news.summary IS 'What the source gives of it';
COMMENT ON COLUMN news.raw_news.content IS 'Its text, where the source gives it';
COMMENT ON COLUMN news.raw_news.author IS 'Who wrote it';
COMMENT ON COLUMN news.raw_news.language IS 'Language, where known (BCP 47)';
COMMENT ON COLUMN news.raw_news.symbols IS 'Instruments it is about';
COMMENT ON COLUMN news.raw_news.published_at IS 'When its source says that it was published; may be wrong, may be missing';
COMMENT ON COLUMN news.raw_news.first_seen_at IS 'When the platform first saw it: nothing may use it for an earlier moment';

CREATE TABLE news.news_sentiment (
    news_id       UUID NOT NULL REFERENCES news.raw_news (id),
    symbol        VARCHAR(20) NOT NULL,
    model         VARCHAR(50) NOT NULL,
    label         VARCHAR(10) NOT NULL CHECK (label IN ('positive', 'neutral', 'negative')),
    score         DOUBLE PRECISION NOT NULL CHECK (score BETWEEN -1 AND 1),
    confidence    DOUBLE PRECISION CHECK (confidence BETWEEN 0 AND 1),
    classified_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (news_id, symbol, model)
);
CREATE INDEX news_sentiment_symbol_classified_at ON news.news_sentiment (symbol, classified_at);
COMMENT ON TABLE news.news_sentiment IS 'What each model read out of a news item about a symbol';
COMMENT ON COLUMN news.news_sentiment.news_id IS 'The item';
COMMENT ON COLUMN news.news_sentiment.symbol IS 'About whom';
COMMENT ON COLUMN news.news_sentiment.model IS 'Which model, with its version';
COMMENT ON COLUMN news.news_sentiment.label IS 'positive, neutral or negative';
COMMENT ON COLUMN news.news_sentiment.score IS 'From -1 (bad) to 1 (good)';
COMMENT ON COLUMN news.news_sentiment.confidence IS 'The model''s probability of its label';
COMMENT ON COLUMN news.news_sentiment.classified_at IS 'When it was classified; known from then on';
