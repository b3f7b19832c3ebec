-- A month's decisions in the order of the archive, as its files have them; times in microseconds since 1970.
SELECT id::text, (extract(epoch FROM "timestamp") * 1000000)::bigint, decision_type, symbol,
       signals::text, risk_check::text, final_action, reasoning, order_id::text
FROM audit.decisions
WHERE "timestamp" >= %(first)s AND "timestamp" < %(after)s
ORDER BY "timestamp", decisions.id
