-- Moves coverage of dropped bars from answered to expired.
-- Parameters: present timestamptz.
SELECT market_data.note_expired(%(present)s)
