-- As unscored, those first that became available last: a slow model scores today's articles before a long history.
-- Parameters: scored_by text, limit integer. Uses versions_scored_by.
SELECT version.news_id, version.version, version.title, version.summary,
       EXISTS (SELECT FROM news.links AS link
               WHERE link.news_id = version.news_id AND link.version = version.version)
FROM news.versions AS version
WHERE (scored_by IS NULL OR scored_by < %(scored_by)s OR scored_by > %(scored_by)s) AND linked_by IS NOT NULL
ORDER BY version.available_at DESC
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED
