-- Notes by what versions were linked, and the instruments of the newest versions with their articles.
-- Parameters: ids uuid[], versions integer[], linked_by text.
WITH made AS (
    UPDATE news.versions AS version SET linked_by = %(linked_by)s, scored_by = NULL
    FROM unnest(%(ids)s::uuid[], %(versions)s::integer[]) AS one (news_id, version)
    WHERE version.news_id = one.news_id AND version.version = one.version
    RETURNING version.news_id, version.version
)
UPDATE news.raw_news AS article
SET symbols = ARRAY(SELECT link.symbol::text FROM news.links AS link
                    WHERE link.news_id = made.news_id AND link.version = made.version ORDER BY link.symbol)
FROM made
WHERE article.id = made.news_id AND article.version = made.version
