-- Deletes a month from the default partition.
WITH deleted AS (
    DELETE FROM {place} WHERE "timestamp" >= %(first)s AND "timestamp" < %(after)s RETURNING 1
)
SELECT count(*) FROM deleted
