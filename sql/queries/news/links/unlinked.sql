-- Versions that were not linked by these rules and this dictionary. Parameters: linked_by text, limit integer.
SELECT news_id, version, title, summary
FROM news.versions
WHERE linked_by IS DISTINCT FROM %(linked_by)s
ORDER BY news_id, version
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED
