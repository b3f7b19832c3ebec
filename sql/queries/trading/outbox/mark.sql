-- Marks messages as published.
UPDATE trading.outbox SET published_at = clock_timestamp() WHERE seq = ANY(%(numbers)s)
