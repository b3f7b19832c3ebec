-- Decisions in a half-open window, newest first. Uses decisions_timestamp of the months it overlaps.
SELECT * FROM audit.decisions
WHERE (%(start)s::timestamptz IS NULL OR "timestamp" >= %(start)s)
  AND (%(end)s::timestamptz IS NULL OR "timestamp" < %(end)s)
  AND (%(symbol)s::text IS NULL OR symbol = %(symbol)s)
  AND (%(decision_type)s::text IS NULL OR decision_type = %(decision_type)s)
  AND (%(order_id)s::uuid IS NULL OR order_id = %(order_id)s)
ORDER BY "timestamp" DESC, id
LIMIT %(limit)s
