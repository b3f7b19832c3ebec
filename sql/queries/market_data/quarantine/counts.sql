-- Numbers of rejected rows by reason, the largest first. Parameters: as of listed.sql, without id and limit.
SELECT row.reason, sum(row.row_count)::bigint AS rows
FROM market_data.quarantine AS row
WHERE (%(symbol)s::text IS NULL OR row.symbol = %(symbol)s)
  AND (%(source)s::text IS NULL OR row.source = %(source)s)
  AND (%(reason)s::text IS NULL OR row.reason = %(reason)s)
  AND (%(since)s::timestamptz IS NULL OR row.recorded_at >= %(since)s)
  AND NOT (%(open)s AND EXISTS (SELECT FROM market_data.quarantine_decisions WHERE quarantine_id = row.id))
GROUP BY row.reason
ORDER BY rows DESC, row.reason
