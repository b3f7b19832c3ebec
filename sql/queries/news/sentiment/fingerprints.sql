-- What tells whether the news that features of some partitions are computed from have changed: a number for each symbol
-- and partition with news, from the versions, scores and repetitions of all articles that were ever about the symbol.
-- News after the close of the symbol's last bar have no part in any row yet; of a symbol without such bars, as a peer
-- that has daily ones alone, after that of its last day.
-- Parameters: symbols text[], starts, ends timestamptz[], length interval (of a bar), whole boolean (news of before a
-- partition, too). Uses links_symbol and <table>_symbol_time.
SELECT about.symbol, part.start,
       sum(hashtextextended(concat_ws('|', version.news_id, version.version, extract(epoch FROM version.available_at),
           link.news_id IS NOT NULL, version.scored_by, score.model, score.revision, score.score, score.confidence, article.duplicate_of), 0))::text
FROM (
    SELECT DISTINCT symbol, news_id FROM news.links WHERE symbol = ANY(%(symbols)s::text[])
) AS about
JOIN (
    SELECT symbol, coalesce((SELECT max(time) FROM {table} AS bar WHERE bar.symbol = one.symbol) + %(length)s,
                            (SELECT max(time) FROM market_data.bars_1d AS day WHERE day.symbol = one.symbol)
                            + interval '1 day') AS closed
    FROM unnest(%(symbols)s::text[]) AS one (symbol)
) AS last ON last.symbol = about.symbol
JOIN news.raw_news AS article ON article.id = about.news_id
JOIN news.versions AS version ON version.news_id = about.news_id AND version.available_at < last.closed
JOIN unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS part (start, finish)
    ON (%(whole)s OR version.available_at >= part.start - interval '1 day') AND version.available_at < part.finish + interval '1 day'
LEFT JOIN news.links AS link
    ON link.news_id = version.news_id AND link.version = version.version AND link.symbol = about.symbol
LEFT JOIN news.news_sentiment AS score
    ON score.news_id = version.news_id AND score.version = version.version AND score.symbol = about.symbol
GROUP BY about.symbol, part.start
