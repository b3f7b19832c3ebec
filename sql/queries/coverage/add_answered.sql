-- Adds intervals to what a source has answered for.
-- Parameters: symbol, timeframe, source text, answered tstzmultirange. Conflicts on the primary key.
INSERT INTO market_data.coverage (symbol, timeframe, source, answered)
VALUES (%(symbol)s, %(timeframe)s, %(source)s, %(answered)s::tstzmultirange)
ON CONFLICT (symbol, timeframe, source)
DO UPDATE SET answered = coverage.answered + EXCLUDED.answered, expired = coverage.expired - EXCLUDED.answered
