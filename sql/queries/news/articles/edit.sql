-- The newest version of an article; its instruments, too, if it was linked.
-- Parameters: id uuid, version integer, title, summary, content, linked_by text, symbols text[].
UPDATE news.raw_news
SET version = %(version)s, title = %(title)s, summary = %(summary)s, content = %(content)s,
    symbols = CASE WHEN %(linked_by)s::text IS NULL THEN symbols ELSE %(symbols)s::text[] END
WHERE id = %(id)s
