-- Deletes one action. Uses the primary key.
DELETE FROM market_data.corporate_actions
WHERE symbol = %(symbol)s AND ex_date = %(ex_date)s AND kind = %(kind)s
RETURNING symbol
