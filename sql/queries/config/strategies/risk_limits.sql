-- Limits by key: one by the primary key, or all.
SELECT * FROM config.risk_limits WHERE (%(key)s::text IS NULL OR key = %(key)s) ORDER BY key
