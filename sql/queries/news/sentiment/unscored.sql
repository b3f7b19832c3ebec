-- Linked versions of which a symbol has no score by a revision of a model.
-- Parameters: model, revision text, limit integer.
SELECT DISTINCT version.news_id, version.version, version.title, version.summary
FROM news.links AS link
JOIN news.versions AS version ON version.news_id = link.news_id AND version.version = link.version
WHERE NOT EXISTS (
    SELECT FROM news.news_sentiment AS score
    WHERE score.news_id = link.news_id AND score.version = link.version AND score.symbol = link.symbol
      AND score.model = %(model)s AND score.revision = %(revision)s)
ORDER BY version.news_id, version.version
LIMIT %(limit)s
