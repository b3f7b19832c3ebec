-- Deletes the fingerprints of periods dropped because of their age; returns how many.
-- Parameters: present timestamptz.
SELECT market_data.expire_fingerprints(%(present)s)
