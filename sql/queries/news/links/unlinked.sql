-- Versions that were not linked by these rules and this dictionary. Parameters: linked_by text, limit integer.
-- Uses versions_linked_by: written as three conditions that an index has, it costs nothing where all are linked.
SELECT news_id, version, title, summary
FROM news.versions
WHERE linked_by IS NULL OR linked_by < %(linked_by)s OR linked_by > %(linked_by)s
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED
