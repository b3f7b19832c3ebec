-- Sentiment of articles that became available in a window, in the newest version that was available at a time, by the
-- revision of a model that was computed last; without a model, by the one that scored the version last.
-- Parameters: symbols text[] or NULL, start, end, as_of timestamptz, model text or NULL. Uses raw_news_available_at.
SELECT DISTINCT ON (shown.available_at, shown.id, score.symbol)
       shown.available_at, score.symbol, score.label, score.score, score.confidence, shown.title, score.model,
       score.revision, score.engine, shown.id, shown.version, shown.duplicate_of
FROM (
    SELECT DISTINCT ON (article.id) article.id::text AS id, article.id AS news_id, version.version, article.available_at,
           version.title, version.scored_by, article.duplicate_of::text AS duplicate_of
    FROM news.raw_news AS article
    JOIN news.versions AS version ON version.news_id = article.id AND version.available_at <= %(as_of)s
    WHERE article.available_at >= %(start)s AND article.available_at < %(end)s
    ORDER BY article.id, version.version DESC
) AS shown
JOIN news.news_sentiment AS score ON score.news_id = shown.news_id AND score.version = shown.version
JOIN news.links AS link
    ON link.news_id = score.news_id AND link.version = score.version AND link.symbol = score.symbol
WHERE (score.model = %(model)s OR %(model)s::text IS NULL) AND (%(symbols)s::text[] IS NULL OR score.symbol = ANY(%(symbols)s::text[]))
ORDER BY shown.available_at, shown.id, score.symbol,
         (%(model)s::text IS NULL AND shown.scored_by = score.model || ' ' || score.revision) DESC NULLS LAST,
         score.classified_at DESC
