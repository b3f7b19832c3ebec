-- Rejected rows with the newest decision about them, newest first.
-- Parameters: id bigint, symbol, source, reason text, since timestamptz (each or NULL), open boolean, limit integer.
SELECT row.id, row.recorded_at, row.source, row.symbol, row.timeframe, row.time, row.origin, row.line, row.reason,
       row.detail, row.record, row.row_count, row.bar,
       decision.action, decision.decided_at, decision.decided_by, decision.because, decision.overridden
FROM market_data.quarantine AS row
LEFT JOIN LATERAL (
    SELECT * FROM market_data.quarantine_decisions WHERE quarantine_id = row.id ORDER BY decided_at DESC LIMIT 1
) AS decision ON true
WHERE (%(id)s::bigint IS NULL OR row.id = %(id)s)
  AND (%(symbol)s::text IS NULL OR row.symbol = %(symbol)s)
  AND (%(source)s::text IS NULL OR row.source = %(source)s)
  AND (%(reason)s::text IS NULL OR row.reason = %(reason)s)
  AND (%(since)s::timestamptz IS NULL OR row.recorded_at >= %(since)s)
  AND NOT (%(open)s AND decision.action IS NOT NULL)
ORDER BY row.id DESC
LIMIT %(limit)s
