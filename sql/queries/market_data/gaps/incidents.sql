-- Which of some incidents are not over.
-- Parameters: incidents text[]. Rides on gaps_incident.
SELECT DISTINCT incident FROM market_data.gaps WHERE incident = ANY(%(incidents)s)
