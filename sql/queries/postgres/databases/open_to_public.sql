-- Those of some databases that the user owns and that every role may connect to. No index: few rows.
-- Parameters: names text[].
SELECT datname
FROM pg_database
WHERE datname = ANY(%(names)s) AND pg_has_role(CURRENT_USER, datdba, 'USAGE')
  AND EXISTS (
      SELECT FROM aclexplode(COALESCE(datacl, acldefault('d', datdba)))
      WHERE grantee = 0 AND privilege_type IN ('CONNECT', 'TEMPORARY'))
ORDER BY datname
