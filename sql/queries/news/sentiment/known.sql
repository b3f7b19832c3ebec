-- Scores that a revision of a model has given to the same title and summary, of whichever version or article.
-- Parameters: ids uuid[], versions integer[], model, revision text.
SELECT DISTINCT ON (wanted.news_id, wanted.version)
       wanted.title, wanted.summary, score.label, score.score, score.confidence
FROM unnest(%(ids)s::uuid[], %(versions)s::integer[]) AS one (news_id, version)
JOIN news.versions AS wanted ON wanted.news_id = one.news_id AND wanted.version = one.version
JOIN news.versions AS same ON same.title = wanted.title AND same.summary IS NOT DISTINCT FROM wanted.summary
JOIN news.news_sentiment AS score ON score.news_id = same.news_id AND score.version = same.version
WHERE score.model = %(model)s AND score.revision = %(revision)s
ORDER BY wanted.news_id, wanted.version, score.classified_at
