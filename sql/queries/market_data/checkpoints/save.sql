-- Saves the checkpoint of a paged request.
-- Parameters: symbol, timeframe, source text, at, updated_at timestamptz, token json. Conflicts on the primary key.
INSERT INTO market_data.checkpoints (symbol, timeframe, source, at, token, updated_at)
VALUES (%(symbol)s, %(timeframe)s, %(source)s, %(at)s, %(token)s::jsonb, %(updated_at)s)
ON CONFLICT (symbol, timeframe, source)
DO UPDATE SET at = EXCLUDED.at, token = EXCLUDED.token, updated_at = EXCLUDED.updated_at
