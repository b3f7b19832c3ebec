-- The other databases of the server that one of the platform's roles may connect to. No index: few rows.
SELECT datname
FROM pg_database
WHERE datname <> current_database() AND datallowconn
  AND EXISTS (
      SELECT FROM pg_roles
      WHERE rolname IN ('ingest', 'agent', 'dashboard') AND has_database_privilege(rolname, pg_database.oid, 'CONNECT'))
ORDER BY datname
