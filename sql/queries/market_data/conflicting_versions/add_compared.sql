-- Adds windows to those with compared bars.
-- Parameters: symbol, timeframe, source, compared_with text, compared tstzmultirange, compared_at timestamptz. Conflicts on the primary key.
INSERT INTO market_data.source_comparisons AS known (symbol, timeframe, source, compared_with, compared, compared_at)
VALUES (%(symbol)s, %(timeframe)s, %(source)s, %(compared_with)s, %(compared)s::tstzmultirange, %(compared_at)s)
ON CONFLICT (symbol, timeframe, source, compared_with)
DO UPDATE SET compared = known.compared + EXCLUDED.compared, compared_at = EXCLUDED.compared_at
