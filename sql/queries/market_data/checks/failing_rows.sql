-- The first rows that fail a rule of sql/checks, and how many fail in all. The placeholder rule is the statement of the rule.
-- Parameters: those of the rule, and limit integer.
SELECT count(*) OVER () AS failing_rows, symbol, time, detail
FROM (
{rule}
) AS failing
ORDER BY symbol, time
LIMIT %(limit)s
