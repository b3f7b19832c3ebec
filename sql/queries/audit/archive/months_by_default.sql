-- The old months of which the default partition holds rows, in order. Earlier than year 1 no client can ask.
SELECT DISTINCT date_trunc('month', "timestamp" AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
FROM {place}
WHERE "timestamp" < %(before)s AND "timestamp" >= '0001-01-01T00:00:00Z'
ORDER BY 1
