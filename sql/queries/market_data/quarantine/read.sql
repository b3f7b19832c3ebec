-- Quarantined rows, newest first.
-- Parameters: symbol text or NULL, timeframe text or NULL, limit integer.
SELECT recorded_at, source, symbol, timeframe, time, origin, line, reason, detail, record, row_count
FROM market_data.quarantine
WHERE (%(symbol)s::varchar IS NULL OR symbol = %(symbol)s) AND (%(timeframe)s::varchar IS NULL OR timeframe = %(timeframe)s)
ORDER BY id DESC
LIMIT %(limit)s
