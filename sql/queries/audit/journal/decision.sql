-- One decision, by the primary keys of the months.
SELECT * FROM audit.decisions WHERE id = %(id)s ORDER BY "timestamp" DESC LIMIT 1
