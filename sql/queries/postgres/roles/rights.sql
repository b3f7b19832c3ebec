-- Roles by name, each with whether it has privileges on the whole server. No index: few rows.
SELECT rolname, rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
FROM pg_roles
WHERE rolname = ANY(%(roles)s)
