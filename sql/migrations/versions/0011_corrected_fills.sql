-- Corrected and cancelled executions: docs/decisions/0038-corrections-replace-fills.md. Stop prices of orders.
-- trading.trades keeps only the fills that count; what a later report replaced is in trading.replaced_trades.

CREATE TABLE trading.replaced_trades (
    id             UUID PRIMARY KEY,
    order_id       UUID NOT NULL REFERENCES trading.orders (id),
    symbol         VARCHAR(20) NOT NULL,
    side           trading.order_side NOT NULL,
    quantity       DECIMAL(18,8) NOT NULL CHECK (quantity >= 0 AND quantity <> 'NaN'),
    price          DECIMAL(18,8) NOT NULL CHECK (price >= 0 AND price <> 'NaN'),
    commission     DECIMAL(18,8) NOT NULL DEFAULT 0 CHECK (commission <> 'NaN'),
    executed_at    TIMESTAMPTZ NOT NULL,
    broker         trading.broker_type NOT NULL,
    broker_fill_id TEXT NOT NULL CHECK (broker_fill_id <> ''),
    replaced_by    TEXT CHECK (replaced_by <> ''),
    replaced_at    TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX replaced_trades_order_id ON trading.replaced_trades (order_id);
CREATE INDEX replaced_trades_symbol_executed_at ON trading.replaced_trades (symbol, executed_at, id);
COMMENT ON TABLE trading.replaced_trades IS 'Reports of executions that do not count: replaced by a correction, or cancelled by the broker; inserted once, never changed';
COMMENT ON COLUMN trading.replaced_trades.id IS 'UUID version 5 of the broker and its fill id, as in trading.trades';
COMMENT ON COLUMN trading.replaced_trades.order_id IS 'The order of the execution';
COMMENT ON COLUMN trading.replaced_trades.symbol IS 'Symbol of the order';
COMMENT ON COLUMN trading.replaced_trades.side IS 'Side of the order';
COMMENT ON COLUMN trading.replaced_trades.quantity IS 'Reported quantity; 0: the report cancelled the execution';
COMMENT ON COLUMN trading.replaced_trades.price IS 'Reported price';
COMMENT ON COLUMN trading.replaced_trades.commission IS 'Reported commission, in the currency of the price';
COMMENT ON COLUMN trading.replaced_trades.executed_at IS 'Time of the execution, by the broker''s clock';
COMMENT ON COLUMN trading.replaced_trades.broker IS 'Broker of the order';
COMMENT ON COLUMN trading.replaced_trades.broker_fill_id IS 'The broker''s id of the report';
COMMENT ON COLUMN trading.replaced_trades.replaced_by IS 'The broker''s id of the report that counts instead, or that cancelled the execution; NULL: cancelled without a further report';
COMMENT ON COLUMN trading.replaced_trades.replaced_at IS 'When it was recorded that it does not count';
CREATE TRIGGER replaced_trades_guard BEFORE INSERT ON trading.replaced_trades
    FOR EACH ROW EXECUTE FUNCTION trading.guard_trade();
CREATE TRIGGER replaced_trades_stay BEFORE UPDATE OR DELETE ON trading.replaced_trades
    FOR EACH ROW EXECUTE FUNCTION trading.refuse_change();

CREATE FUNCTION trading.guard_trade_removal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM trading.replaced_trades AS kept
        WHERE kept.id = OLD.id
          AND (kept.order_id, kept.quantity, kept.price, kept.commission, kept.executed_at)
              = (OLD.order_id, OLD.quantity, OLD.price, OLD.commission, OLD.executed_at)
    ) THEN
        RAISE EXCEPTION 'fill % can only move to trading.replaced_trades', OLD.id
            USING ERRCODE = 'check_violation', HINT = 'Record the correction of the broker; it replaces the fill.';
    END IF;
    RETURN OLD;
END;
$$;
COMMENT ON FUNCTION trading.guard_trade_removal IS 'Lets a fill leave trading.trades only after it was copied to trading.replaced_trades';
DROP TRIGGER trades_stay ON trading.trades;
CREATE TRIGGER trades_stay BEFORE UPDATE ON trading.trades
    FOR EACH ROW EXECUTE FUNCTION trading.refuse_change();
CREATE TRIGGER trades_move BEFORE DELETE ON trading.trades
    FOR EACH ROW EXECUTE FUNCTION trading.guard_trade_removal();
COMMENT ON TABLE trading.trades IS 'Executed fills that count; inserted once, never changed. A fill that the broker corrects or cancels moves to trading.replaced_trades';

-- The position after a fill is gone with the fill; the positions after later fills are computed again.
ALTER TABLE trading.position_history
    DROP CONSTRAINT position_history_trade_id_fkey,
    ADD CONSTRAINT position_history_trade_id_fkey FOREIGN KEY (trade_id) REFERENCES trading.trades (id)
        ON DELETE CASCADE;

-- Stop-limit orders from before this column have none, so that only guard_order requires one, of new orders.
ALTER TABLE trading.orders
    ADD COLUMN stop_price DECIMAL(18,8) CHECK (stop_price > 0 AND stop_price <> 'NaN'),
    ADD CONSTRAINT orders_stop_price_of_stops_only CHECK (order_type = 'stop_limit' OR stop_price IS NULL);
COMMENT ON COLUMN trading.orders.stop_price IS 'Price at which a stop-limit order becomes active; NULL for other types, and for stop-limit orders placed before the column existed';

-- The same transitions as trading_platform/domain/trading/orders.py. An order becomes less filled, and a filled one
-- changes, only where one of its fills was replaced.
CREATE OR REPLACE FUNCTION trading.guard_order() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    corrected boolean;
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status <> 'pending' THEN
            RAISE EXCEPTION 'an order begins as pending, not as %', NEW.status USING ERRCODE = 'check_violation';
        END IF;
        IF NEW.order_type = 'stop_limit' AND NEW.stop_price IS NULL THEN
            RAISE EXCEPTION 'a stop_limit order needs its stop price' USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END IF;
    corrected := EXISTS (SELECT FROM trading.replaced_trades AS replaced WHERE replaced.order_id = OLD.id);
    IF NEW.status <> OLD.status AND (OLD.status, NEW.status) NOT IN (
        ('pending', 'sent'), ('pending', 'cancelled'), ('pending', 'rejected'),
        ('sent', 'partial'), ('sent', 'filled'), ('sent', 'cancelled'), ('sent', 'rejected'),
        ('partial', 'filled'), ('partial', 'cancelled')
    ) AND NOT (corrected AND (OLD.status, NEW.status) IN (
        ('partial', 'sent'), ('filled', 'sent'), ('filled', 'partial')
    )) THEN
        RAISE EXCEPTION 'order % cannot go from % to %', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation';
    END IF;
    IF (NEW.id, NEW.symbol, NEW.side, NEW.order_type, NEW.quantity, NEW.price, NEW.stop_price, NEW.broker,
        NEW.strategy_id, NEW.created_at)
       IS DISTINCT FROM (OLD.id, OLD.symbol, OLD.side, OLD.order_type, OLD.quantity, OLD.price, OLD.stop_price,
        OLD.broker, OLD.strategy_id, OLD.created_at) THEN
        RAISE EXCEPTION 'what was ordered by % cannot be changed', OLD.id USING ERRCODE = 'check_violation',
            HINT = 'Cancel it and place another.';
    END IF;
    IF NEW.filled_qty < OLD.filled_qty AND NOT corrected THEN
        RAISE EXCEPTION 'order % cannot become less filled', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    IF (OLD.status = 'rejected' OR OLD.status = 'filled' AND NOT corrected)
       AND (NEW.filled_qty, NEW.avg_fill_price, NEW.commission, NEW.filled_at, NEW.broker_order_id)
           IS DISTINCT FROM (OLD.filled_qty, OLD.avg_fill_price, OLD.commission, OLD.filled_at, OLD.broker_order_id)
    THEN
        RAISE EXCEPTION 'order % is %, which is final', OLD.id, OLD.status USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END;
$$;

DO $$ BEGIN PERFORM config.grant_roles(); END $$;
-- A correction copies the replaced fill and takes it out of trading.trades, which the trigger there guards.
GRANT SELECT, INSERT ON trading.replaced_trades TO agent;
GRANT DELETE ON trading.trades TO agent;
