-- The newest version of an article.
-- Parameters: id uuid, version integer, title, summary, content text.
UPDATE news.raw_news
SET version = %(version)s, title = %(title)s, summary = %(summary)s, content = %(content)s
WHERE id = %(id)s
