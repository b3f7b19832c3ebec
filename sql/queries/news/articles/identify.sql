-- Moves identities from the staging table; the newest meaning of an identity counts.
INSERT INTO news.identities AS present (identity, news_id)
SELECT identity, news_id FROM news_identities_staging
ON CONFLICT (identity) DO UPDATE SET news_id = EXCLUDED.news_id WHERE present.news_id IS DISTINCT FROM EXCLUDED.news_id
