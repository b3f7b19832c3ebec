-- Splits and cash dividends as data of their own: bars stay raw, and are adjusted when they are read
-- (docs/decisions/0024-corporate-actions-adjusted-when-read.md).

CREATE TABLE market_data.corporate_actions (
    symbol     VARCHAR(20) NOT NULL,
    ex_date    TIMESTAMPTZ NOT NULL CHECK (ex_date = date_trunc('day', ex_date, 'UTC')),
    kind       VARCHAR(10) NOT NULL CHECK (kind IN ('split', 'dividend')),
    new_shares BIGINT CHECK (new_shares > 0),
    old_shares BIGINT CHECK (old_shares > 0),
    amount     DECIMAL(18,8) CHECK (amount > 0),
    currency   VARCHAR(10),
    source     VARCHAR(20) NOT NULL,
    known_at   TIMESTAMPTZ NOT NULL,
    changed_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (symbol, ex_date, kind),
    CONSTRAINT corporate_actions_terms CHECK (
        (kind = 'split' AND num_nonnulls(new_shares, old_shares) = 2 AND amount IS NULL)
        OR (kind = 'dividend' AND num_nonnulls(new_shares, old_shares) = 0 AND amount IS NOT NULL)
    )
);
COMMENT ON TABLE market_data.corporate_actions IS 'Splits and cash dividends, by which raw bars are adjusted when they are read';
COMMENT ON COLUMN market_data.corporate_actions.symbol IS 'Instrument, in the platform''s spelling';
COMMENT ON COLUMN market_data.corporate_actions.ex_date IS 'Midnight UTC of the date of the first session whose prices have it behind them';
COMMENT ON COLUMN market_data.corporate_actions.kind IS 'split or dividend';
COMMENT ON COLUMN market_data.corporate_actions.new_shares IS 'Of a split: how many new shares, in lowest terms, …; NULL for a dividend';
COMMENT ON COLUMN market_data.corporate_actions.old_shares IS '… there are for how many old ones; NULL for a dividend';
COMMENT ON COLUMN market_data.corporate_actions.amount IS 'Of a dividend: cash per share as shares are on the ex-date; NULL for a split';
COMMENT ON COLUMN market_data.corporate_actions.currency IS 'Of the amount; NULL: the source does not say';
COMMENT ON COLUMN market_data.corporate_actions.source IS 'Who told: file for what a person imported, which no other source overwrites';
COMMENT ON COLUMN market_data.corporate_actions.known_at IS 'From when on it may be used: when it was announced, or trading ex began';
COMMENT ON COLUMN market_data.corporate_actions.changed_at IS 'When this row was written or last changed';

ALTER TABLE market_data.derivations ADD COLUMN splits VARCHAR(16) NOT NULL DEFAULT '';
COMMENT ON COLUMN market_data.derivations.splits IS 'Fingerprint of the splits that the partition is computed across; empty: none';

DO $$ BEGIN PERFORM config.grant_roles(); END $$;
