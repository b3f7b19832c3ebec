-- Stores one action, unless it is unchanged or a user has imported another version of it. Returns a row if anything
-- changed. Conflicts on the primary key.
INSERT INTO market_data.corporate_actions AS stored
    (symbol, ex_date, kind, new_shares, old_shares, amount, currency, source, known_at, changed_at)
VALUES (%(symbol)s, %(ex_date)s, %(kind)s, %(new_shares)s, %(old_shares)s, %(amount)s, %(currency)s, %(source)s,
        %(known_at)s, %(changed_at)s)
ON CONFLICT (symbol, ex_date, kind)
DO UPDATE SET new_shares = EXCLUDED.new_shares, old_shares = EXCLUDED.old_shares, amount = EXCLUDED.amount,
              currency = EXCLUDED.currency, source = EXCLUDED.source, known_at = EXCLUDED.known_at,
              changed_at = EXCLUDED.changed_at
WHERE (stored.new_shares, stored.old_shares, stored.amount, stored.currency, stored.source, stored.known_at)
      IS DISTINCT FROM (EXCLUDED.new_shares, EXCLUDED.old_shares, EXCLUDED.amount, EXCLUDED.currency, EXCLUDED.source,
                        EXCLUDED.known_at)
  AND (stored.source <> 'file' OR EXCLUDED.source = 'file')
RETURNING TRUE
