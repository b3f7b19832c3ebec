-- Number of rows older than a timestamp in the table, and the oldest time. Uses the index on the time.
SELECT count(*), min("timestamp") FROM {place} WHERE "timestamp" < %(before)s
