-- Decisions of a half-open window, newest first: by decisions_timestamp of the months it touches.
SELECT * FROM audit.decisions
WHERE (%(start)s::timestamptz IS NULL OR "timestamp" >= %(start)s)
  AND (%(end)s::timestamptz IS NULL OR "timestamp" < %(end)s)
  AND (%(symbol)s::text IS NULL OR symbol = %(symbol)s)
  AND (%(decision_type)s::text IS NULL OR decision_type = %(decision_type)s)
  AND (%(order_id)s::uuid IS NULL OR order_id = %(order_id)s)
ORDER BY "timestamp" DESC, id
LIMIT %(limit)s
