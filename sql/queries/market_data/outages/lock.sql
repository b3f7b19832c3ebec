-- Locks the outages against other writers until the transaction ends.
SELECT pg_advisory_xact_lock(hashtext('outages'), 0)
