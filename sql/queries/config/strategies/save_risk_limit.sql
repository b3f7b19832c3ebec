-- Sets a limit; a trigger fills in updated_by if none is given. Conflicts on the primary key.
INSERT INTO config.risk_limits (key, value, description, updated_by)
VALUES (%(key)s, %(value)s, %(description)s, %(by)s)
ON CONFLICT (key)
DO UPDATE SET value = EXCLUDED.value, description = COALESCE(EXCLUDED.description, risk_limits.description),
              updated_by = EXCLUDED.updated_by
RETURNING *
