-- The parts of some windows that any source has answered for: one row per interval.
-- Parameters: symbol, timeframe text, windows tstzmultirange. Uses the primary key.
SELECT lower(span), upper(span)
FROM (
    SELECT range_agg(answered + pending_confirmation) * %(windows)s::tstzmultirange AS spans
    FROM market_data.coverage WHERE symbol = %(symbol)s AND timeframe = %(timeframe)s
) AS known, unnest(spans) AS span
ORDER BY 1
