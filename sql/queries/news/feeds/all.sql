-- All feeds, by name.
SELECT name, url, is_enabled, title, etag, last_modified, fetched_at, due_at, new_at, status, error, failures, fetches,
       not_modified, failed
FROM news.feeds
ORDER BY name
