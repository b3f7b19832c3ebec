-- Scores of versions, for each symbol that they are about; a score that is there stays.
-- Parameters: ids uuid[], versions integer[], labels text[], scores, confidences double precision[], model, revision,
-- engine text, at timestamptz.
INSERT INTO news.news_sentiment
    (news_id, version, symbol, model, revision, engine, label, score, confidence, classified_at)
SELECT link.news_id, link.version, link.symbol, %(model)s, %(revision)s, %(engine)s, made.label, made.score,
       made.confidence, %(at)s
FROM unnest(%(ids)s::uuid[], %(versions)s::integer[], %(labels)s::text[], %(scores)s::double precision[],
            %(confidences)s::double precision[]) AS made (news_id, version, label, score, confidence)
JOIN news.links AS link ON link.news_id = made.news_id AND link.version = made.version
ON CONFLICT DO NOTHING
