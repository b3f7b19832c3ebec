-- Notes by what versions were scored. Parameters: ids uuid[], versions integer[], scored_by text.
UPDATE news.versions AS version SET scored_by = %(scored_by)s
FROM unnest(%(ids)s::uuid[], %(versions)s::integer[]) AS one (news_id, version)
WHERE version.news_id = one.news_id AND version.version = one.version
