-- The terms of the field for tables, columns and states that had names of our own (docs/naming.md). Rows keep what they
-- say, and functions do what they did.

ALTER TABLE market_data.derivations RENAME TO input_versions;
ALTER TABLE market_data.resume_points RENAME TO checkpoints;
ALTER TABLE market_data.overlaps RENAME TO source_comparisons;
ALTER TABLE market_data.overlap_differences RENAME TO conflicting_versions;
ALTER TABLE config.lifecycle RENAME TO retention;

ALTER TABLE market_data.coverage RENAME COLUMN unconfirmed TO pending_confirmation;
ALTER TABLE market_data.coverage_requests RENAME COLUMN refused TO rejected;
ALTER TABLE market_data.source_comparisons RENAME COLUMN tier TO compared_with;
ALTER TABLE market_data.conflicting_versions RENAME COLUMN tier TO compared_with;
ALTER TABLE market_data.conflicting_versions RENAME COLUMN heard TO received;

-- Constraints, and with a primary key its index, are called after their table.
DO $$
DECLARE
    renamed record;
    item text;
BEGIN
    FOR renamed IN
        SELECT * FROM (VALUES
            ('market_data.input_versions', 'derivations'), ('market_data.checkpoints', 'resume_points'),
            ('market_data.source_comparisons', 'overlaps'), ('market_data.conflicting_versions', 'overlap_differences'),
            ('config.retention', 'lifecycle')) AS pair (relation, before)
    LOOP
        FOR item IN
            SELECT conname FROM pg_constraint
            WHERE conrelid = renamed.relation::regclass AND starts_with(conname, renamed.before)
        LOOP
            EXECUTE format(
                'ALTER TABLE %s RENAME CONSTRAINT %I TO %I', renamed.relation, item,
                split_part(renamed.relation, '.', 2) || substr(item, length(renamed.before) + 1));
        END LOOP;
    END LOOP;
END;
$$;

-- Functions name the table of retention in their text.
DO $$
DECLARE
    definition text;
BEGIN
    FOR definition IN
        SELECT pg_get_functiondef(oid) FROM pg_proc
        WHERE pronamespace = ANY(ARRAY['market_data', 'config']::regnamespace[]) AND prosrc ~ '\mlifecycle\M'
    LOOP
        EXECUTE regexp_replace(definition, '\mlifecycle\M', 'retention', 'g');
    END LOOP;
END;
$$;

-- States ---------------------------------------------------------------------------------------------

ALTER TABLE market_data.outages DROP CONSTRAINT outages_state_check;
ALTER TABLE market_data.outages ALTER COLUMN state TYPE VARCHAR(20);
UPDATE market_data.outages SET state = 'failed_permanently' WHERE state = 'given_up';
ALTER TABLE market_data.outages ADD CONSTRAINT outages_state_check
    CHECK (state IN ('open', 'closed', 'repairing', 'repaired', 'failed_permanently'));

ALTER TABLE market_data.gaps DROP CONSTRAINT gaps_state_check;
ALTER TABLE market_data.gaps DROP CONSTRAINT gaps_kind_check;
ALTER TABLE market_data.gaps DROP CONSTRAINT gaps_given_up_in_an_incident;
ALTER TABLE market_data.gaps ALTER COLUMN state TYPE VARCHAR(20);
UPDATE market_data.gaps
SET state = CASE state WHEN 'given_up' THEN 'failed_permanently' ELSE state END,
    kind = CASE kind WHEN 'unconfirmed' THEN 'pending_confirmation' WHEN 'vanished' THEN 'missing_or_modified' ELSE kind END
WHERE state = 'given_up' OR kind IN ('unconfirmed', 'vanished');
ALTER TABLE market_data.gaps ADD CONSTRAINT gaps_state_check CHECK (state IN ('open', 'failed_permanently'));
ALTER TABLE market_data.gaps ADD CONSTRAINT gaps_kind_check
    CHECK (kind IN ('missing', 'pending_confirmation', 'missing_or_modified'));
ALTER TABLE market_data.gaps ADD CONSTRAINT gaps_failed_permanently_in_an_incident
    CHECK (state <> 'failed_permanently' OR incident IS NOT NULL);

UPDATE audit.system_events
SET event_type = CASE event_type
    WHEN 'fill_refused' THEN 'fill_rejected'
    WHEN 'gaps_given_up' THEN 'gaps_failed_permanently'
    WHEN 'feed_silent' THEN 'feed_inactive'
    WHEN 'bars_vanished' THEN 'bars_missing_or_modified'
    ELSE 'outage_failed_permanently' END
WHERE event_type IN ('fill_refused', 'gaps_given_up', 'bars_vanished', 'feed_silent', 'outage_given_up');

-- Comments -------------------------------------------------------------------------------------------

COMMENT ON TABLE market_data.input_versions IS 'From which version of the bars each partition of roll-ups, indicators and features was computed';
COMMENT ON TABLE market_data.checkpoints IS 'Where the last paged request goes on, written in the transaction of its bars';
COMMENT ON COLUMN market_data.checkpoints.token IS 'Cursor and unfinished bar, in the format of the source';
COMMENT ON TABLE market_data.source_comparisons IS 'Which stored bars a source has sent a second time, and were compared; those not in conflicting_versions agree';
COMMENT ON COLUMN market_data.source_comparisons.compared_with IS 'Where the second version came from: Trades, OHLC, OHLCVT archive, trades archive';
COMMENT ON TABLE market_data.conflicting_versions IS 'Bars of which a source has sent two versions that differ; deleted once they agree';
COMMENT ON COLUMN market_data.conflicting_versions.compared_with IS 'Where the second version came from';
COMMENT ON COLUMN market_data.conflicting_versions.received IS 'The second version: open, high, low, close, volume';
COMMENT ON COLUMN market_data.conflicting_versions.replaced IS 'Whether the second version replaced the stored one, coming from a source of higher priority';
COMMENT ON COLUMN market_data.conflicting_versions.origin IS 'The request or the file';
COMMENT ON COLUMN market_data.coverage.answered IS 'Answered for and still held: a slot without a bar there is confirmed empty';
COMMENT ON COLUMN market_data.coverage.pending_confirmation IS 'Answered with nothing though the instrument usually trades; empty only after a second request or another source confirms it';
COMMENT ON TABLE market_data.coverage_requests IS 'Every request to a source and its outcome';
COMMENT ON TABLE market_data.fingerprints IS 'Count and checksum of the bars committed in each period, by which missing and modified rows are detected';
COMMENT ON COLUMN market_data.gaps.kind IS 'missing: no source has answered; pending_confirmation: an empty response to be confirmed; missing_or_modified: committed once, missing or changed since';
COMMENT ON COLUMN market_data.gaps.state IS 'open: to be repaired; failed_permanently: a person has to look at it';
COMMENT ON COLUMN market_data.gaps.note IS 'Outcome of the last attempt';
COMMENT ON COLUMN market_data.gaps.incident IS 'The alert that published the permanent failure, the same for all gaps of that alert; kept while the gap is tried again';
COMMENT ON TABLE market_data.outages IS 'Intervals in which a feed did not deliver an instrument''s events, and what was done about each';
COMMENT ON COLUMN market_data.outages.down_at IS 'Start: no event was received after this';
COMMENT ON COLUMN market_data.outages.up_at IS 'End; NULL while the outage goes on';
COMMENT ON COLUMN market_data.outages.state IS 'open; closed: to be repaired; repairing; repaired; failed_permanently: a person has to look at it';
COMMENT ON COLUMN market_data.outages.note IS 'Outcome of the last attempt';
COMMENT ON FUNCTION market_data.chunks IS 'The chunks or partitions of each table in config.retention';
COMMENT ON FUNCTION market_data.ensure_policies IS 'Makes the policies in the database those of config.retention, and returns what it changed';

COMMENT ON SCHEMA market_data IS 'Bars, indicators, and the record of requests to sources';
COMMENT ON SCHEMA config IS 'Configuration by users: the universe, strategies, limits';
COMMENT ON SCHEMA audit IS 'Decisions with their reasons, and system events; partitioned by month';
COMMENT ON SCHEMA features IS 'Definitions of the columns of the feature store';
COMMENT ON SCHEMA news IS 'News items as received, and their sentiment';
COMMENT ON TYPE trading.order_status IS 'Status of an order; trading.guard_order enforces the transitions';
COMMENT ON TYPE trading.broker_type IS 'Broker that executes';
COMMENT ON TYPE trading.order_type IS 'Type of an order';
COMMENT ON TYPE audit.severity_level IS 'Severity of an event';

COMMENT ON VIEW market_data.indicators IS 'All indicators in narrow form, one value per row; a value still warming up has no row';
COMMENT ON TABLE market_data.coverage IS 'The time that each source has answered for';
COMMENT ON COLUMN market_data.coverage.expired IS 'Answered for, and dropped since because of its age';
COMMENT ON COLUMN market_data.coverage_requests.changed IS 'Whether the response changed stored bars; the highest such id is the version of the bars for what is computed from them';
COMMENT ON TABLE market_data.quarantine IS 'Every rejected row, with its position in the origin and the reason';
COMMENT ON COLUMN market_data.quarantine.fingerprint IS 'Hash of source, symbol, timeframe, origin, line, reason and record, so that repeated requests record a row once';
COMMENT ON COLUMN market_data.quarantine.row_count IS 'Number of rows this entry stands for; more than one if a whole file was rejected';
COMMENT ON TABLE config.instruments IS 'The universe: the instruments for which the platform stores data';
COMMENT ON COLUMN config.instruments.fallback_sources IS 'Sources from which bars are requested, in this order, if the source has none';
COMMENT ON TABLE config.retention IS 'How long each table keeps its rows; whole chunks are compressed and dropped, so a row may stay one chunk longer';
COMMENT ON COLUMN config.retention.timeframe IS 'Timeframe of the rule';
COMMENT ON COLUMN config.retention.chunk IS 'Span of a chunk or partition; they begin at multiples of it since 1970-01-01 UTC';
COMMENT ON COLUMN config.retention.compress_after IS 'Age at which a chunk is compressed, if the database can compress';

COMMENT ON COLUMN config.strategies.name IS 'Display name';
COMMENT ON COLUMN config.strategies.enabled IS 'Whether it runs; a new strategy is disabled until a user enables it';
COMMENT ON COLUMN config.strategies.params IS 'Its parameters, a JSON object';
COMMENT ON COLUMN config.strategies.max_positions IS 'Maximum number of simultaneous positions; NULL: no limit';
COMMENT ON COLUMN config.strategies.updated_at IS 'When it last changed; set by the database';
COMMENT ON COLUMN config.risk_limits.description IS 'What it limits';
COMMENT ON COLUMN config.risk_limits.updated_at IS 'When it last changed; set by the database';
COMMENT ON COLUMN config.risk_limits.updated_by IS 'User or application that changed it: as given, else the session''s application name, else its user';

COMMENT ON TABLE trading.orders IS 'Every order, from its creation to its final status; orders are never deleted';
COMMENT ON COLUMN trading.orders.id IS 'Chosen by the client, so that placing an order is idempotent';
COMMENT ON COLUMN trading.orders.side IS 'Buy or sell';
COMMENT ON COLUMN trading.orders.order_type IS 'Market, limit or stop limit';
COMMENT ON COLUMN trading.orders.quantity IS 'Ordered quantity';
COMMENT ON COLUMN trading.orders.price IS 'Limit price; NULL for market orders only';
COMMENT ON COLUMN trading.orders.status IS 'Status of the order';
COMMENT ON COLUMN trading.orders.broker IS 'Broker that executes it';
COMMENT ON COLUMN trading.orders.broker_order_id IS 'The broker''s id of the order, once known';
COMMENT ON COLUMN trading.orders.strategy_id IS 'Strategy that placed it; NULL: a manual order';
COMMENT ON COLUMN trading.orders.updated_at IS 'When it last changed; set by the database';
COMMENT ON COLUMN trading.orders.filled_at IS 'Time of the last fill, once the order is filled';
COMMENT ON COLUMN trading.orders.filled_qty IS 'Sum of the quantities of its fills';
COMMENT ON COLUMN trading.orders.avg_fill_price IS 'Average price of its fills, weighted by quantity, rounded half to even to 8 decimals; NULL without fills';
COMMENT ON COLUMN trading.orders.commission IS 'Sum of the commissions of its fills; negative: a rebate';
COMMENT ON TABLE trading.trades IS 'Executed fills; inserted once, never changed';
COMMENT ON COLUMN trading.trades.id IS 'UUID version 5 of the broker and its fill id, so that a fill is stored once';
COMMENT ON COLUMN trading.trades.symbol IS 'Symbol of the order';
COMMENT ON COLUMN trading.trades.side IS 'Side of the order';
COMMENT ON COLUMN trading.trades.quantity IS 'Executed quantity';
COMMENT ON COLUMN trading.trades.price IS 'Price of the execution';
COMMENT ON COLUMN trading.trades.commission IS 'Commission of the broker, in the currency of the price; negative: a rebate';
COMMENT ON COLUMN trading.trades.executed_at IS 'Time of the execution, by the broker''s clock';
COMMENT ON COLUMN trading.trades.broker IS 'Broker of the order';
COMMENT ON TABLE trading.positions IS 'Current position in each symbol and its profit so far; derived from trading.trades';
COMMENT ON COLUMN trading.positions.quantity IS 'Quantity held; negative: short';
COMMENT ON COLUMN trading.positions.avg_entry_price IS 'Average cost of the position without commissions, rounded half to even to 8 decimals; for display, nothing is computed from it';
COMMENT ON COLUMN trading.positions.current_price IS 'Last known price: that of the newest fill, or marked since';
COMMENT ON COLUMN trading.positions.unrealized_pnl IS 'Value at current_price minus cost';
COMMENT ON COLUMN trading.positions.realized_pnl IS 'Profit of closed quantities minus all commissions, since the first fill';
COMMENT ON COLUMN trading.positions.opened_at IS 'First entry of the current position; NULL if flat';
COMMENT ON COLUMN trading.positions.updated_at IS 'When it last changed; set by the database';
COMMENT ON TABLE trading.position_history IS 'The position after each fill, in order of execution, with its exact cost; trading.positions has the last one, rounded';
COMMENT ON COLUMN trading.position_history.quantity IS 'Quantity held after the fill; negative: short';
COMMENT ON COLUMN trading.position_history.cost IS 'Cost of that quantity, with its sign';
COMMENT ON COLUMN trading.position_history.realized_pnl IS 'Realized profit up to the fill, minus commissions';
COMMENT ON COLUMN trading.position_history.opened_at IS 'First entry of the position after the fill';
COMMENT ON TABLE trading.outbox IS 'Messages for the channel and stream orders, written in the transaction of the change';
COMMENT ON COLUMN trading.outbox.id IS 'Order of insertion';
COMMENT ON COLUMN trading.outbox.order_id IS 'The order of the message';
COMMENT ON COLUMN trading.outbox.payload IS 'Content of the message';
COMMENT ON COLUMN trading.outbox.created_at IS 'When the change happened';
COMMENT ON COLUMN trading.outbox.seq IS 'Sequence number in the stream, without gaps; assigned by the publisher after the commit';
COMMENT ON COLUMN trading.outbox.published_at IS 'When it was published';
COMMENT ON FUNCTION trading.notify_position IS 'Notifies the listeners of the channel positions of the symbol of a changed position';

COMMENT ON TABLE audit.decisions IS 'Decisions with their reasons and results; one partition per month';
COMMENT ON COLUMN audit.decisions.id IS 'Id of the decision; the primary key includes the time, as partitioning requires';
COMMENT ON COLUMN audit.decisions.symbol IS 'Instrument; NULL: the whole portfolio';
COMMENT ON COLUMN audit.decisions.signals IS 'The signals it was based on, as of the decision';
COMMENT ON COLUMN audit.decisions.risk_check IS 'Result of the risk check';
COMMENT ON COLUMN audit.decisions.final_action IS 'The action taken';
COMMENT ON COLUMN audit.decisions.reasoning IS 'The reasons, as text';
COMMENT ON COLUMN audit.decisions.order_id IS 'The resulting order, if any';
COMMENT ON TABLE audit.system_events IS 'System events; one partition per month';
COMMENT ON COLUMN audit.system_events.id IS 'Sequential number; the primary key includes the time, as partitioning requires';
COMMENT ON COLUMN audit.system_events.event_type IS 'Type of the event';
COMMENT ON COLUMN audit.system_events.severity IS 'Severity of the event';
COMMENT ON COLUMN audit.system_events.component IS 'Component that logged it';
COMMENT ON COLUMN audit.system_events.message IS 'What happened, as text';
COMMENT ON FUNCTION audit.make_partition IS 'Creates the partition of one month and moves its rows there from the default one';
COMMENT ON FUNCTION audit.ensure_partitions IS 'Creates the missing monthly partitions from a timestamp on until some months ahead, and returns their names';
COMMENT ON TABLE audit.decisions_default IS 'Decisions of months without a partition; audit.make_partition moves them there when it creates it';
COMMENT ON TABLE audit.system_events_default IS 'Events of months without a partition; audit.make_partition moves them there when it creates it';

COMMENT ON TABLE features.catalog IS 'The features, from their definitions in code';
COMMENT ON COLUMN features.catalog.description IS 'What the feature measures';
COMMENT ON COLUMN features.catalog.computation IS 'Formula, or description of the computation';
COMMENT ON COLUMN features.catalog.lookback_days IS 'Required history, in trading days';
COMMENT ON COLUMN features.catalog.updated_at IS 'When its definition last changed; set by the database';
COMMENT ON TABLE news.raw_news IS 'News items as received';
COMMENT ON COLUMN news.raw_news.id IS 'Id of the item';
COMMENT ON COLUMN news.raw_news.source IS 'Source of the item: a feed, or NewsAPI';
COMMENT ON COLUMN news.raw_news.external_id IS 'The source''s id of the item: the id in the feed, else its URL';
COMMENT ON COLUMN news.raw_news.url IS 'URL of the full text';
COMMENT ON COLUMN news.raw_news.summary IS 'Summary by the source';
COMMENT ON COLUMN news.raw_news.content IS 'Full text, if the source provides it';
COMMENT ON COLUMN news.raw_news.author IS 'Author';
COMMENT ON COLUMN news.raw_news.published_at IS 'Time of publication according to the source; may be wrong or missing';
COMMENT ON COLUMN news.raw_news.first_seen_at IS 'When the platform received it; it must not be used as of any earlier time';
COMMENT ON TABLE news.news_sentiment IS 'Sentiment of a news item about a symbol, by model';
COMMENT ON COLUMN news.news_sentiment.news_id IS 'Id of the item';
COMMENT ON COLUMN news.news_sentiment.symbol IS 'Symbol it is about';
COMMENT ON COLUMN news.news_sentiment.model IS 'Model with its version';
COMMENT ON COLUMN news.news_sentiment.score IS 'From -1 (negative) to 1 (positive)';
COMMENT ON COLUMN news.news_sentiment.classified_at IS 'When it was classified; available from then on';

COMMENT ON COLUMN market_data.stream_positions.position IS 'Where the stream continues in its input, in the format of its reader';
COMMENT ON COLUMN market_data.outages.id IS 'Order of insertion';
COMMENT ON COLUMN market_data.outages.source IS 'Source of the feed';
COMMENT ON COLUMN market_data.outages.reason IS 'Its cause, as text; late events: events arrived after their minute was final';
COMMENT ON COLUMN market_data.outages.attempts IS 'Number of repair attempts begun';
COMMENT ON COLUMN market_data.outages.next_attempt_at IS 'When the next attempt is due; during a repair, when that counts as failed';
COMMENT ON COLUMN market_data.outages.repaired_at IS 'When its minutes were requested and stored';
COMMENT ON TABLE market_data.corporate_actions IS 'Splits and cash dividends, by which raw bars are adjusted when they are read';
COMMENT ON COLUMN market_data.corporate_actions.ex_date IS 'Midnight UTC of the date of the first session with prices after the action';
COMMENT ON COLUMN market_data.corporate_actions.new_shares IS 'Of a split: number of new shares for old_shares old ones, in lowest terms; NULL for a dividend';
COMMENT ON COLUMN market_data.corporate_actions.old_shares IS 'Of a split: number of old shares, in lowest terms; NULL for a dividend';
COMMENT ON COLUMN market_data.corporate_actions.amount IS 'Of a dividend: cash per share, in shares of the ex-date; NULL for a split';
COMMENT ON COLUMN market_data.corporate_actions.currency IS 'Currency of the amount; NULL: not given by the source';
COMMENT ON COLUMN market_data.corporate_actions.source IS 'Source of the action; file: imported by a user, which no other source overwrites';
COMMENT ON COLUMN market_data.corporate_actions.known_at IS 'When it became known: when it was announced, or when trading ex began; it is not used as of any earlier time';
COMMENT ON COLUMN market_data.checkpoints.timeframe IS 'Length of the requested bars';
COMMENT ON COLUMN market_data.checkpoints.source IS 'Source of the bars';
COMMENT ON COLUMN market_data.checkpoints.at IS 'All bars before this are stored; a request that begins here continues with the token';
COMMENT ON COLUMN market_data.source_comparisons.source IS 'Source of the bars';
COMMENT ON COLUMN market_data.source_comparisons.compared IS 'Windows of the compared bars';
COMMENT ON COLUMN market_data.source_comparisons.compared_at IS 'Time of the last comparison';
COMMENT ON COLUMN market_data.conflicting_versions.source IS 'Source of the bar';
COMMENT ON COLUMN market_data.conflicting_versions.stored IS 'The stored version: open, high, low, close, volume';
COMMENT ON COLUMN market_data.conflicting_versions.compared_at IS 'Time of the comparison';
COMMENT ON FUNCTION market_data.fingerprint_period IS 'Span of one fingerprint of the bars of a timeframe; a chunk is a multiple of it';
COMMENT ON FUNCTION market_data.bar_weight IS 'Contribution of one bar to the checksum of its period; exact, so that it can be subtracted again';
COMMENT ON COLUMN market_data.fingerprints.period_start IS 'Start of the period; its length is market_data.fingerprint_period(timeframe)';
COMMENT ON COLUMN market_data.fingerprints.bar_count IS 'Number of committed bars';
COMMENT ON TABLE market_data.gaps IS 'Gaps within the covered span of each symbol, and their repairs; a row is deleted when its gap is repaired';
COMMENT ON COLUMN market_data.gaps.id IS 'Order of detection';
COMMENT ON COLUMN market_data.gaps.dataset IS 'Asset with the gap: ohlcv_1m, indicators_1d';
COMMENT ON COLUMN market_data.gaps.attempts IS 'Number of repair attempts begun';
COMMENT ON COLUMN market_data.gaps.found_at IS 'When it was detected';
COMMENT ON COLUMN market_data.gaps.tried_at IS 'When the last repair began';
COMMENT ON COLUMN market_data.gaps.next_attempt_at IS 'When the next attempt is due; during a repair, when that counts as failed';
COMMENT ON FUNCTION market_data.chunk_start IS 'Start of the chunk that contains a timestamp';
COMMENT ON FUNCTION market_data.uses_timescaledb IS 'Whether bars and indicators are hypertables; otherwise they are partitioned tables';
COMMENT ON FUNCTION market_data.make_partitions IS 'Creates the missing partitions that contain these timestamps, and moves their rows there from the default one';
COMMENT ON FUNCTION market_data.waiting IS 'Starts of the chunks with rows that wait in the default partition of a table';
COMMENT ON FUNCTION market_data.make_partitions_ahead IS 'Creates the current and the next two partitions of each table, and those for rows in a default partition';
COMMENT ON FUNCTION market_data.drop_expired IS 'Without TimescaleDB: drops the partitions beyond retention, and returns them';
COMMENT ON FUNCTION market_data.held IS 'The time in which stored bars of a timeframe are still stored: within retention, or older and not dropped yet';
COMMENT ON FUNCTION market_data.note_expired IS 'Moves coverage of dropped bars from answered to expired';
COMMENT ON FUNCTION config.grant_roles IS 'Grants the roles ingest, agent and dashboard their privileges, including on objects created since';

-- Comments that an earlier revision has given to columns of the same name in several tables.
DO $$
DECLARE
    wording CONSTANT jsonb := '{
        "Begin of the hour, UTC": "Start of the hour, UTC",
        "How much was traded": "Traded quantity",
        "Who gave it, or ohlcv_1m: rolled up from minutes": "Source of the bar; ohlcv_1m: rolled up from minutes",
        "Its value, rounded to eight decimals": "Value, rounded to eight decimals",
        "Order of writing": "Order of insertion",
        "The window in question": "The requested window",
        "How many bars the answer had": "Number of bars in the response",
        "How many rows of the answer were refused": "Number of rejected rows in the response",
        "Where exactly it came from: a file, an address": "Origin of the data: a file, an address",
        "What the source said, or why it failed": "Note of the source, or the error",
        "When it was asked": "Time of the request",
        "What is computed: an asset": "Computed asset",
        "Begin of the partition": "Start of the partition",
        "How many rows": "Number of rows",
        "When it was refused": "When it was rejected",
        "Why it was refused, in one word": "Reason of the rejection, as a code",
        "Why, in words": "Reason of the rejection, as text",
        "The row as it came": "The row as received",
        "Smallest step of its price": "Minimum price increment",
        "When it last changed; kept by the database": "When it last changed; set by the database"
    }';
    found record;
BEGIN
    FOR found IN
        SELECT attribute.attrelid::regclass AS relation, attribute.attname,
               wording ->> col_description(attribute.attrelid, attribute.attnum) AS reworded
        FROM pg_attribute AS attribute
        JOIN pg_class AS relation ON relation.oid = attribute.attrelid
        WHERE relation.relnamespace = ANY(ARRAY['market_data', 'config']::regnamespace[])
          AND relation.relkind IN ('r', 'p', 'v') AND attribute.attnum > 0 AND NOT attribute.attisdropped
          AND wording ? col_description(attribute.attrelid, attribute.attnum)
    LOOP
        EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', found.relation, found.attname, found.reworded);
    END LOOP;
END;
$$;
