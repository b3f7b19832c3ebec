-- The windows in which hours can be recomputed: those with minutes of which none were dropped. A refresh would empty an
-- hour with dropped minutes.
-- Parameters: present timestamptz.
SELECT lower(span), upper(span)
FROM (
    SELECT range_agg(tstzrange(range_start, range_end))
           * tstzmultirange(tstzrange(NULL, date_trunc('hour', %(present)s - interval '1 hour', 'UTC')))
           - COALESCE((SELECT range_agg(gone) FROM market_data.coverage, unnest(expired) AS gone WHERE timeframe = '1m'), '{}')
           AS spans
    FROM market_data.chunks()
    WHERE table_name = 'bars_1m'
) AS held, unnest(spans) AS span
WHERE upper(span) - lower(span) >= interval '2 hours'
