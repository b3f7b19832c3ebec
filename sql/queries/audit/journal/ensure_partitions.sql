-- Makes the missing months of both tables; names what it made.
SELECT audit.ensure_partitions(COALESCE(%(since)s::timestamptz, now()), %(months_ahead)s)
