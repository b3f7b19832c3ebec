-- Roles by name, each with whether it has rights over the whole server. No index: a handful of rows.
SELECT rolname, rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
FROM pg_roles
WHERE rolname = ANY(%(roles)s)
