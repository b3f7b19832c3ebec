-- Sessions of the platform's roles whose transaction began longer ago than an age, the oldest first. Other users'
-- sessions have no times here for whoever may not see them. No index: few rows.
-- Parameters: age interval.
SELECT pid, usename::text, (extract(epoch FROM clock_timestamp() - xact_start) / 60)::integer
FROM pg_stat_activity
WHERE datname = current_database() AND usename IN ('ingest', 'agent', 'dashboard')
  AND xact_start < clock_timestamp() - %(age)s::interval
ORDER BY xact_start
