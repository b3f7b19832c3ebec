-- The incidents among the given ones that still have gaps.
-- Parameters: incidents text[]. Uses gaps_incident.
SELECT DISTINCT incident FROM market_data.gaps WHERE incident = ANY(%(incidents)s)
