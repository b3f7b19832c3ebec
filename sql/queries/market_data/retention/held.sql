-- The parts of a window within retention or not dropped yet: bars stored there are still stored.
-- Parameters: timeframe text, start, end, present timestamptz.
SELECT lower(span), upper(span)
FROM unnest(market_data.held(%(timeframe)s::text, %(present)s::timestamptz) * tstzmultirange(tstzrange(%(start)s::timestamptz, %(end)s::timestamptz))) AS span
ORDER BY 1
