-- Notes that feeds are down; one that is noted already, or was for the same moment, stays as it is.
-- Parameters: source, reason text, symbols text[], down_at timestamptz.
INSERT INTO market_data.outages (source, symbol, down_at, reason)
SELECT %(source)s, symbol, %(down_at)s, %(reason)s FROM unnest(%(symbols)s::text[]) AS symbol
ON CONFLICT DO NOTHING
