-- One at a time notes outages; held until the transaction ends.
SELECT pg_advisory_xact_lock(hashtext('outages'), 0)
