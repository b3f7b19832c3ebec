-- The splits and dividends of some symbols, by symbol and date.
-- Parameters: symbols text[] or NULL for all, kinds text[]. Uses the primary key.
SELECT symbol, ex_date, kind, new_shares, old_shares, amount, currency, close_before, source, known_at
FROM market_data.corporate_actions
WHERE (%(symbols)s::varchar[] IS NULL OR symbol = ANY(%(symbols)s::varchar[])) AND kind = ANY(%(kinds)s)
ORDER BY symbol, ex_date, kind
