-- The old months with rows in the default partition, in order. Clients cannot represent years before 1.
SELECT DISTINCT date_trunc('month', "timestamp" AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
FROM {place}
WHERE "timestamp" < %(before)s AND "timestamp" >= '0001-01-01T00:00:00Z'
ORDER BY 1
