-- What was set aside because nobody could read it, by table, and the tables whose rules rows of before break. No index:
-- few rows.
SELECT relation, count(*)::text || ' rows in audit.set_aside' FROM audit.set_aside GROUP BY 1
UNION ALL
SELECT 'trading.outbox', count(*)::text || ' messages that cannot be published' FROM trading.outbox
WHERE fault IS NOT NULL HAVING count(*) > 0
UNION ALL
SELECT conrelid::regclass::text, 'rows of before that break the rule ' || conname
FROM pg_constraint
JOIN pg_class AS relation ON relation.oid = conrelid AND NOT relispartition
WHERE contype = 'c' AND NOT convalidated AND conname LIKE '%\_readable'
ORDER BY 1, 2
