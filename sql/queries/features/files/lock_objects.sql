-- Locks the objects of the feature store against all writers on all machines until the transaction ends.
SELECT pg_advisory_xact_lock(hashtext('features'), hashtext('_objects'))
