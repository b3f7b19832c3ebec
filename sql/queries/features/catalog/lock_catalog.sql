-- One process at a time writes the catalog, until the transaction ends.
SELECT pg_advisory_xact_lock(7406004)
