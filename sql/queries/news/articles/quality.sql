-- Figures of the articles that were first seen in a window: number of articles, edited ones, near-duplicates, linked
-- ones, scored ones and positive and negative ones of these; and of those with a fault: published more than a day after
-- they were seen or now, without text, with characters that were misread, without a language.
-- Parameters: start, end, now timestamptz. Uses raw_news_first_seen_at.
SELECT count(*),
       count(*) FILTER (WHERE article.version > 1),
       count(*) FILTER (WHERE article.duplicate_of IS NOT NULL),
       count(*) FILTER (WHERE article.symbols <> '{}'),
       count(*) FILTER (WHERE score.label IS NOT NULL),
       count(*) FILTER (WHERE score.label = 'positive'),
       count(*) FILTER (WHERE score.label = 'negative'),
       count(*) FILTER (WHERE article.published_at > greatest(article.first_seen_at, %(now)s) + interval '1 day'),
       count(*) FILTER (WHERE btrim(article.title) = ''),
       count(*) FILTER (WHERE strpos(article.title, U&'\FFFD') > 0),
       count(*) FILTER (WHERE article.language IS NULL)
FROM news.raw_news AS article
LEFT JOIN LATERAL (
    SELECT label FROM news.news_sentiment AS one
    WHERE one.news_id = article.id AND one.version = article.version
    ORDER BY classified_at DESC LIMIT 1
) AS score ON TRUE
WHERE article.first_seen_at >= %(start)s AND article.first_seen_at < %(end)s
