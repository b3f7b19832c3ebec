-- Articles that became available in a window, in the newest version that was available at a time; one row for each
-- instrument that it is about, and one without symbol for those about none, if all are wanted.
-- Parameters: symbols text[] or NULL, start, end, as_of timestamptz. Uses raw_news_available_at.
SELECT shown.available_at, link.symbol, shown.published_at, shown.first_seen_at, shown.title, shown.summary, shown.url,
       shown.source, shown.language, link.rule, link.evidence, shown.id, shown.version, shown.duplicate_of
FROM (
    SELECT DISTINCT ON (article.id) article.id::text AS id, article.id AS news_id, version.version, article.available_at,
           version.published_at, version.first_seen_at, version.title, version.summary, article.url, article.source,
           article.language, article.duplicate_of::text AS duplicate_of
    FROM news.raw_news AS article
    JOIN news.versions AS version ON version.news_id = article.id AND version.available_at <= %(as_of)s
    WHERE article.available_at >= %(start)s AND article.available_at < %(end)s
    ORDER BY article.id, version.version DESC
) AS shown
LEFT JOIN news.links AS link ON link.news_id = shown.news_id AND link.version = shown.version
WHERE %(symbols)s::text[] IS NULL OR link.symbol = ANY(%(symbols)s::text[])
ORDER BY shown.available_at, shown.id, link.symbol
