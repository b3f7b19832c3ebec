-- Stores one action, unless it is unchanged or a user has imported another version of it. Returns a row if anything
-- changed. Conflicts on the primary key.
INSERT INTO market_data.corporate_actions AS stored
    (symbol, ex_date, kind, new_shares, old_shares, amount, currency, close_before, source, known_at,
     changed_at)
VALUES (%(symbol)s, %(ex_date)s, %(kind)s, %(new_shares)s, %(old_shares)s, %(amount)s, %(currency)s,
        %(close_before)s, %(source)s, %(known_at)s, %(changed_at)s)
ON CONFLICT (symbol, ex_date, kind)
DO UPDATE SET new_shares = EXCLUDED.new_shares, old_shares = EXCLUDED.old_shares, amount = EXCLUDED.amount,
              currency = EXCLUDED.currency, close_before = EXCLUDED.close_before, source = EXCLUDED.source, known_at = EXCLUDED.known_at,
              changed_at = EXCLUDED.changed_at
WHERE (stored.new_shares, stored.old_shares, stored.amount, stored.currency, stored.close_before, stored.source,
       stored.known_at)
      IS DISTINCT FROM (EXCLUDED.new_shares, EXCLUDED.old_shares, EXCLUDED.amount, EXCLUDED.currency,
                        EXCLUDED.close_before, EXCLUDED.source, EXCLUDED.known_at)
  AND (stored.source <> 'file' OR EXCLUDED.source = 'file')
RETURNING TRUE
