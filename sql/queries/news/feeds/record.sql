-- The end of a fetch. Parameters: name, status, title, etag, last_modified, error text, at, due_at timestamptz, has_new boolean.
UPDATE news.feeds
SET status = %(status)s::varchar, error = %(error)s, fetched_at = %(at)s::timestamptz, due_at = %(due_at)s::timestamptz,
    title = COALESCE(%(title)s::text, title),
    etag = CASE WHEN %(status)s::varchar = 'ok' THEN %(etag)s::text ELSE etag END,
    last_modified = CASE WHEN %(status)s::varchar = 'ok' THEN %(last_modified)s::text ELSE last_modified END,
    new_at = CASE WHEN %(has_new)s::boolean THEN %(at)s::timestamptz ELSE new_at END,
    failures = CASE WHEN %(status)s::varchar = 'failed' THEN failures + 1 ELSE 0 END,
    fetches = fetches + 1,
    not_modified = not_modified + (%(status)s::varchar = 'not_modified')::integer,
    failed = failed + (%(status)s::varchar = 'failed')::integer
WHERE name = %(name)s
