-- Moves from answered to expired what the database holds no longer.
-- Parameters: present timestamptz.
SELECT market_data.note_expired(%(present)s)
