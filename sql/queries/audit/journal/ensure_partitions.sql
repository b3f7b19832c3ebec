-- Creates the missing monthly partitions of both tables and returns their names.
SELECT audit.ensure_partitions(COALESCE(%(since)s::timestamptz, now()), %(months_ahead)s)
