-- What changes whenever a version, a link or a score is stored or replaced.
SELECT concat_ws(' ', (SELECT count(*) FROM news.versions), (SELECT count(*) FROM news.links),
                 (SELECT extract(epoch FROM max(linked_at)) FROM news.links),
                 (SELECT count(*) FROM news.news_sentiment))
