-- Other meanings of identities that are stored. Parameters: identities bytea[], ids uuid[].
UPDATE news.identities AS present SET news_id = made.news_id
FROM unnest(%(identities)s::bytea[], %(ids)s::uuid[]) AS made (identity, news_id)
WHERE present.identity = made.identity
