-- Scored versions of articles about some symbols that were first seen about them in a window, as features use them: of
-- articles that repeat one another the first about the symbol, by the model that scored each version last, from when
-- and until when each version is the newest.
-- Parameters: symbols text[], start, end timestamptz, recorded timestamptz or NULL. Uses links_symbol,
-- raw_news_available_at.
SELECT symbol, seen_at, known_at, until, score, confidence
FROM (
    SELECT *, first_value(id) OVER (PARTITION BY symbol, story ORDER BY seen_at, id) AS first_of_story
    FROM (
        SELECT link.symbol, version.news_id AS id, coalesce(article.duplicate_of, article.id) AS story,
               min(version.available_at) OVER (PARTITION BY link.symbol, version.news_id) AS seen_at,
               version.available_at AS known_at, later.available_at AS until, made.score, made.confidence
        FROM news.links AS link
        JOIN news.raw_news AS article ON article.id = link.news_id
        JOIN news.versions AS version ON version.news_id = link.news_id AND version.version = link.version
        LEFT JOIN LATERAL (
            SELECT min(next.available_at) AS available_at
            FROM news.versions AS next
            WHERE next.news_id = version.news_id AND next.version > version.version
              AND (%(recorded)s::timestamptz IS NULL OR next.first_seen_at <= %(recorded)s)
        ) AS later ON TRUE
        LEFT JOIN LATERAL (
            SELECT score.score, score.confidence
            FROM news.news_sentiment AS score
            WHERE score.news_id = link.news_id AND score.version = link.version AND score.symbol = link.symbol
              AND (%(recorded)s::timestamptz IS NULL OR score.classified_at <= %(recorded)s)
            ORDER BY (version.scored_by = score.model || ' ' || score.revision) DESC NULLS LAST,
                     score.classified_at DESC, score.revision
            LIMIT 1
        ) AS made ON TRUE
        WHERE link.symbol = ANY(%(symbols)s::text[])
          AND article.available_at >= %(start)s::timestamptz - interval '30 days' AND article.available_at < %(end)s
          AND (%(recorded)s::timestamptz IS NULL OR link.linked_at <= %(recorded)s)
    ) AS about
) AS ranked
WHERE id = first_of_story AND score IS NOT NULL AND seen_at >= %(start)s AND seen_at < %(end)s
ORDER BY symbol, seen_at, id, known_at
