-- The articles that some identities mean, with what their sources have shown of them.
-- Parameters: identities bytea[], source text.
SELECT found.identity, article.id, article.title, article.summary, article.published_at, article.version,
       seen.urls, seen.guids, seen.texts, seen.sightings, seen.is_of_source
FROM news.identities AS found
LEFT JOIN news.raw_news AS article ON article.id = found.news_id
LEFT JOIN LATERAL (
    SELECT array_agg(DISTINCT url) FILTER (WHERE url IS NOT NULL) AS urls,
           array_agg(DISTINCT guid) FILTER (WHERE guid IS NOT NULL AND source = %(source)s) AS guids,
           array_agg(DISTINCT text_hash) AS texts,
           array_agg(sighting) FILTER (WHERE source = %(source)s) AS sightings,
           bool_or(source = %(source)s) AS is_of_source
    FROM news.sightings
    WHERE news_id = article.id
) AS seen ON TRUE
WHERE found.identity = ANY(%(identities)s::bytea[])
