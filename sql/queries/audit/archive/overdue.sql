-- How many rows older than a moment are still in the table: by the index on the time.
SELECT count(*), min("timestamp") FROM {place} WHERE "timestamp" < %(before)s
