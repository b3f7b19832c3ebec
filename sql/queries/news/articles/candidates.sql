-- Articles that may be what new ones repeat: they share a band of the signature and were published within a span.
-- A copy stands for the article that it repeats. Parameters: bands bigint[], first, last timestamptz. Uses
-- raw_news_bands; an ORDER BY would make it read all articles in their order instead.
SELECT COALESCE(duplicate_of, id), signature, bands, COALESCE(published_at, first_seen_at), first_seen_at
FROM news.raw_news
WHERE bands && %(bands)s::bigint[] AND COALESCE(published_at, first_seen_at) BETWEEN %(first)s AND %(last)s
