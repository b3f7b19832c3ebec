-- The splits and dividends of some symbols as they were stored at a time, by symbol and date.
-- Parameters: symbols text[] or NULL for all, kinds text[], recorded_as_of timestamptz. Uses the primary keys.
SELECT symbol, ex_date, kind, new_shares, old_shares, amount, currency, close_before, source, known_at
FROM market_data.corporate_actions
WHERE (%(symbols)s::varchar[] IS NULL OR symbol = ANY(%(symbols)s::varchar[])) AND kind = ANY(%(kinds)s)
  AND changed_at <= %(recorded_as_of)s
UNION ALL
SELECT symbol, ex_date, kind, new_shares, old_shares, amount, currency, close_before, source, known_at
FROM market_data.corporate_action_revisions
WHERE (%(symbols)s::varchar[] IS NULL OR symbol = ANY(%(symbols)s::varchar[])) AND kind = ANY(%(kinds)s)
  AND changed_at <= %(recorded_as_of)s AND replaced_at > %(recorded_as_of)s
ORDER BY symbol, ex_date, kind
