-- Waits for other writers of articles: an article may come from several feeds at the same time, and is stored once.
SELECT pg_advisory_xact_lock(hashtext('news.raw_news'))
