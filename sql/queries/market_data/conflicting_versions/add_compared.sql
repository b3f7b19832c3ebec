-- Adds bars to those that were compared.
-- Parameters: symbol, timeframe, source, tier text, compared tstzmultirange, compared_at timestamptz. Conflicts on the primary key.
INSERT INTO market_data.overlaps AS known (symbol, timeframe, source, tier, compared, compared_at)
VALUES (%(symbol)s, %(timeframe)s, %(source)s, %(tier)s, %(compared)s::tstzmultirange, %(compared_at)s)
ON CONFLICT (symbol, timeframe, source, tier)
DO UPDATE SET compared = known.compared + EXCLUDED.compared, compared_at = EXCLUDED.compared_at
