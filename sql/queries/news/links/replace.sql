-- Takes away the links of some versions, which are then written again. Parameters: ids uuid[], versions integer[].
DELETE FROM news.links AS link USING unnest(%(ids)s::uuid[], %(versions)s::integer[]) AS made (news_id, version)
WHERE link.news_id = made.news_id AND link.version = made.version
