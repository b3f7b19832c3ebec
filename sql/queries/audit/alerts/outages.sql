-- Outages whose repair has failed permanently: a person has to look at them.
SELECT source, count(DISTINCT symbol), min(down_at), (array_agg(DISTINCT symbol ORDER BY symbol))[1:20]
FROM market_data.outages
WHERE state = 'failed_permanently'
GROUP BY source
