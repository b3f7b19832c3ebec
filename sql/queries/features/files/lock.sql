-- Locks what the name names in the feature store (a symbol, the catalog) against other writers on all machines, and the
-- objects against their removal, until the transaction ends. Returns the time with the locks held, at which what follows
-- is recorded: the times of writers who wait for each other are in the order of their changes.
-- Parameters: name text.
WITH locked AS MATERIALIZED (
    SELECT pg_advisory_xact_lock_shared(hashtext('features'), hashtext('_objects')),
           pg_advisory_xact_lock(hashtext('features'), hashtext(%(name)s))
)
SELECT clock_timestamp() FROM locked
