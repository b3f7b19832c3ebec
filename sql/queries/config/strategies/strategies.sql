-- Strategies by id: one by the primary key, or all.
SELECT * FROM config.strategies WHERE (%(id)s::text IS NULL OR id = %(id)s) ORDER BY id
