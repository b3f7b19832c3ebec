-- What the ledger said at a time (docs/decisions/0073-decisions-are-explained-from-records.md), and limits that every
-- new order is checked against (docs/decisions/0074-orders-are-checked-by-the-database.md).

-- States of orders, positions and limits --------------------------------------------------------
-- Triggers write them as the owner, so that no client can write another state than the one it caused.

CREATE TABLE trading.recorded_since (
    since   TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
            CHECK (since >= '0001-01-01 00:00:00+00' AND since < '10000-01-01 00:00:00+00'),
    is_only BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (is_only)
);
COMMENT ON TABLE trading.recorded_since IS 'One row: from when on each state of orders, positions and limits is kept';
COMMENT ON COLUMN trading.recorded_since.since IS 'The time of the upgrade';
COMMENT ON COLUMN trading.recorded_since.is_only IS 'Keeps the table to one row';

CREATE TABLE trading.recorded_orders (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id    UUID NOT NULL REFERENCES trading.orders (id),
    status      trading.order_status NOT NULL,
    filled_qty  DECIMAL(18,8) NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
                CHECK (recorded_at >= '0001-01-01 00:00:00+00' AND recorded_at < '10000-01-01 00:00:00+00')
);
CREATE INDEX recorded_orders_order_id ON trading.recorded_orders (order_id, id);
COMMENT ON TABLE trading.recorded_orders IS 'Each state of each order, by the time it was recorded; rows are only added';
COMMENT ON COLUMN trading.recorded_orders.id IS 'Order of writing';
COMMENT ON COLUMN trading.recorded_orders.order_id IS 'The order';
COMMENT ON COLUMN trading.recorded_orders.status IS 'Its status from then on';
COMMENT ON COLUMN trading.recorded_orders.filled_qty IS 'Sum of the quantities of its fills from then on';
COMMENT ON COLUMN trading.recorded_orders.recorded_at IS 'When this state was recorded';

CREATE TABLE trading.recorded_positions (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    symbol          VARCHAR(20) NOT NULL,
    quantity        DECIMAL(18,8) NOT NULL,
    avg_entry_price DECIMAL(18,8),
    realized_pnl    DECIMAL(18,8) NOT NULL,
    recorded_at     TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
                    CHECK (recorded_at >= '0001-01-01 00:00:00+00' AND recorded_at < '10000-01-01 00:00:00+00')
);
CREATE INDEX recorded_positions_symbol ON trading.recorded_positions (symbol, id);
COMMENT ON TABLE trading.recorded_positions IS 'Each state of each position, by the time it was recorded; rows are only added';
COMMENT ON COLUMN trading.recorded_positions.id IS 'Order of writing';
COMMENT ON COLUMN trading.recorded_positions.symbol IS 'Instrument';
COMMENT ON COLUMN trading.recorded_positions.quantity IS 'Quantity held from then on; negative: short';
COMMENT ON COLUMN trading.recorded_positions.avg_entry_price IS 'Average entry price; NULL when nothing is held';
COMMENT ON COLUMN trading.recorded_positions.realized_pnl IS 'Realized profit, less commissions';
COMMENT ON COLUMN trading.recorded_positions.recorded_at IS 'When this state was recorded';

CREATE TABLE config.recorded_risk_limits (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key         VARCHAR(50) NOT NULL,
    value       DECIMAL(18,8),
    recorded_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
                CHECK (recorded_at >= '0001-01-01 00:00:00+00' AND recorded_at < '10000-01-01 00:00:00+00')
);
CREATE INDEX recorded_risk_limits_key ON config.recorded_risk_limits (key, id);
COMMENT ON TABLE config.recorded_risk_limits IS 'Each value of each limit, by the time it was recorded; rows are only added';
COMMENT ON COLUMN config.recorded_risk_limits.id IS 'Order of writing';
COMMENT ON COLUMN config.recorded_risk_limits.key IS 'Name of the limit';
COMMENT ON COLUMN config.recorded_risk_limits.value IS 'Its value from then on; NULL: the limit was removed';
COMMENT ON COLUMN config.recorded_risk_limits.recorded_at IS 'When this value was recorded';

CREATE FUNCTION trading.record_order() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' OR (NEW.status, NEW.filled_qty) IS DISTINCT FROM (OLD.status, OLD.filled_qty) THEN
        INSERT INTO trading.recorded_orders (order_id, status, filled_qty) VALUES (NEW.id, NEW.status, NEW.filled_qty);
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION trading.record_order IS 'Keeps each state of an order';
CREATE TRIGGER orders_record AFTER INSERT OR UPDATE ON trading.orders
    FOR EACH ROW EXECUTE FUNCTION trading.record_order();

CREATE FUNCTION trading.record_position() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' OR (NEW.quantity, NEW.avg_entry_price, NEW.realized_pnl)
        IS DISTINCT FROM (OLD.quantity, OLD.avg_entry_price, OLD.realized_pnl)
    THEN
        INSERT INTO trading.recorded_positions (symbol, quantity, avg_entry_price, realized_pnl)
        VALUES (NEW.symbol, NEW.quantity, NEW.avg_entry_price, NEW.realized_pnl);
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION trading.record_position IS 'Keeps each state of a position; new prices alone are no new state';
CREATE TRIGGER positions_record AFTER INSERT OR UPDATE ON trading.positions
    FOR EACH ROW EXECUTE FUNCTION trading.record_position();

CREATE FUNCTION config.record_risk_limit() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO config.recorded_risk_limits (key, value) VALUES (OLD.key, NULL);
    ELSIF TG_OP = 'INSERT' OR NEW.value <> OLD.value THEN
        INSERT INTO config.recorded_risk_limits (key, value) VALUES (NEW.key, NEW.value);
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION config.record_risk_limit IS 'Keeps each value of a limit';
CREATE TRIGGER risk_limits_record AFTER INSERT OR UPDATE OR DELETE ON config.risk_limits
    FOR EACH ROW EXECUTE FUNCTION config.record_risk_limit();

-- The triggers hold off other writers until the commit, so that no state is between these rows and the next ones.
INSERT INTO trading.recorded_orders (order_id, status, filled_qty)
SELECT id, status, filled_qty FROM trading.orders WHERE status IN ('pending', 'sent', 'partial') ORDER BY created_at, id;
INSERT INTO trading.recorded_positions (symbol, quantity, avg_entry_price, realized_pnl)
SELECT symbol, quantity, avg_entry_price, realized_pnl FROM trading.positions ORDER BY symbol;
INSERT INTO config.recorded_risk_limits (key, value) SELECT key, value FROM config.risk_limits ORDER BY key;
INSERT INTO trading.recorded_since DEFAULT VALUES;

-- Limits of new orders --------------------------------------------------------------------------

ALTER TABLE config.instruments ADD COLUMN lot_size DECIMAL(18,8) CHECK (lot_size > 0 AND lot_size <> 'NaN');
COMMENT ON COLUMN config.instruments.lot_size IS 'Smallest step of an order''s quantity, if known';

CREATE FUNCTION trading.newest_price(of_symbol text) RETURNS numeric
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT price FROM (
        (SELECT time + interval '1 minute' AS until, close AS price FROM market_data.bars_1m
         WHERE symbol = of_symbol ORDER BY time DESC LIMIT 1)
        UNION ALL
        (SELECT time + interval '1 day', close FROM market_data.bars_1d
         WHERE symbol = of_symbol ORDER BY time DESC LIMIT 1)
        UNION ALL
        SELECT '-infinity', current_price FROM trading.positions WHERE symbol = of_symbol
    ) AS known
    WHERE price IS NOT NULL
    ORDER BY until DESC
    LIMIT 1
$$;
COMMENT ON FUNCTION trading.newest_price IS 'The close of the newest stored bar of a symbol, else the last price of its position; NULL if there is none';

CREATE FUNCTION trading.order_faults(
    of_symbol text, of_side trading.order_side, of_quantity numeric, of_price numeric, of_stop_price numeric,
    of_strategy text)
RETURNS TABLE (rule text, message text, expected text, received text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    tick numeric;
    lot numeric;
    held numeric;
    waiting numeric;
    after_all numeric;
    price numeric;
    highest numeric;
    symbols text[];
BEGIN
    SELECT instrument.tick_size, instrument.lot_size INTO tick, lot
    FROM config.instruments AS instrument WHERE instrument.symbol = of_symbol;
    IF of_quantity % lot <> 0 THEN
        RETURN QUERY SELECT 'lot_size', format('The quantity of %s is not a multiple of its lot size.', of_symbol),
            format('a multiple of %s', trim_scale(lot)), trim_scale(of_quantity)::text;
    END IF;
    IF of_price % tick <> 0 THEN
        RETURN QUERY SELECT 'tick_size', format('The price of %s is not a multiple of its tick size.', of_symbol),
            format('a multiple of %s', trim_scale(tick)), trim_scale(of_price)::text;
    END IF;
    IF of_stop_price % tick <> 0 THEN
        RETURN QUERY SELECT 'tick_size', format('The stop price of %s is not a multiple of its tick size.', of_symbol),
            format('a multiple of %s', trim_scale(tick)), trim_scale(of_stop_price)::text;
    END IF;
    SELECT strategy.allowed_symbols INTO symbols FROM config.strategies AS strategy WHERE strategy.id = of_strategy;
    IF NOT of_symbol = ANY(symbols) THEN
        RETURN QUERY SELECT 'allowed_symbols', format('The strategy %s may not trade %s.', of_strategy, of_symbol),
            COALESCE('one of ' || NULLIF(array_to_string(symbols, ', '), ''), 'no symbol at all'), of_symbol;
    END IF;

    SELECT value INTO highest FROM config.risk_limits WHERE key = 'max_open_orders';
    IF FOUND AND (SELECT count(*) >= highest FROM trading.orders WHERE status IN ('pending', 'sent', 'partial')) THEN
        RETURN QUERY SELECT 'max_open_orders', 'There are as many open orders as the risk limit max_open_orders allows.',
            format('at most %s open orders', trim_scale(highest)), 'one more';
    END IF;
    IF NOT EXISTS (SELECT FROM config.risk_limits WHERE key IN ('max_order_value', 'max_position_value')) THEN
        RETURN;
    END IF;
    price := COALESCE(of_price, trading.newest_price(of_symbol));
    IF price IS NULL THEN
        RETURN QUERY SELECT 'price', format('The value of a market order of %s is not known, and there are limits to it.', of_symbol),
            'a stored bar or a position with a price', 'none';
        RETURN;
    END IF;
    SELECT value INTO highest FROM config.risk_limits WHERE key = 'max_order_value';
    IF of_quantity * price > highest THEN
        RETURN QUERY SELECT 'max_order_value', 'The order is worth more than the risk limit max_order_value.',
            format('at most %s in the quote currency', trim_scale(highest)),
            format('%s × %s = %s', trim_scale(of_quantity), trim_scale(price), trim_scale(of_quantity * price));
    END IF;
    SELECT value INTO highest FROM config.risk_limits WHERE key = 'max_position_value';
    SELECT COALESCE(sum(quantity), 0) INTO held FROM trading.positions WHERE symbol = of_symbol;
    SELECT COALESCE(sum(quantity - filled_qty), 0) INTO waiting FROM trading.orders
    WHERE symbol = of_symbol AND side = of_side AND status IN ('pending', 'sent', 'partial');
    after_all := held + (of_quantity + waiting) * CASE of_side WHEN 'buy' THEN 1 ELSE -1 END;
    IF abs(after_all) > abs(held) AND abs(after_all) * price > highest THEN
        RETURN QUERY SELECT 'max_position_value',
            format('With this order the position in %s could be worth more than the risk limit max_position_value.', of_symbol),
            format('at most %s in the quote currency', trim_scale(highest)),
            format('%s held and ordered × %s = %s', trim_scale(abs(after_all)), trim_scale(price), trim_scale(abs(after_all) * price));
    END IF;
END;
$$;
COMMENT ON FUNCTION trading.order_faults IS 'What stands against a new order: lot and tick size, symbols of its strategy, risk limits; no row if nothing does';

-- Orders are checked one after the other, so that two together cannot exceed a limit that each alone keeps. Placing an
-- order again, which changes nothing, is not checked again.
CREATE FUNCTION trading.check_new_order() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    fault record;
BEGIN
    PERFORM pg_advisory_xact_lock(7406003);
    IF EXISTS (SELECT FROM trading.orders WHERE id = NEW.id) THEN
        RETURN NEW;
    END IF;
    SELECT * INTO fault FROM trading.order_faults(
        NEW.symbol, NEW.side, NEW.quantity, NEW.price, NEW.stop_price, NEW.strategy_id) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'orders_within_limits', MESSAGE = fault.message,
            DETAIL = json_build_object('rule', fault.rule, 'expected', fault.expected, 'received', fault.received)::text;
    END IF;
    RETURN NEW;
END;
$$;
COMMENT ON FUNCTION trading.check_new_order IS 'Rejects a new order that trading.order_faults has something against';
CREATE TRIGGER orders_within_limits BEFORE INSERT ON trading.orders
    FOR EACH ROW EXECUTE FUNCTION trading.check_new_order();

DO $$ BEGIN PERFORM config.grant_roles(); END $$;
GRANT SELECT ON trading.recorded_since, trading.recorded_orders, trading.recorded_positions, config.recorded_risk_limits
    TO agent;
GRANT EXECUTE ON FUNCTION trading.order_faults, trading.newest_price TO agent;
