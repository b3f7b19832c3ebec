-- The first rows that a rule of sql/checks names, and how many it names in all; the rule's statement is put in below.
-- Parameters: those of the rule, and limit integer.
SELECT count(*) OVER () AS failing_rows, symbol, time, detail
FROM (
{rule}
) AS offender
ORDER BY symbol, time
LIMIT %(limit)s
