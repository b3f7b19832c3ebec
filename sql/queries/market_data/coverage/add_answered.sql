-- Adds intervals to what a source has answered for, and to what of it nobody believes yet; what it has answered for
-- before is believed.
-- Parameters: symbol, timeframe, source text, answered, unconfirmed tstzmultirange. Conflicts on the primary key.
INSERT INTO market_data.coverage AS known (symbol, timeframe, source, answered, unconfirmed)
VALUES (%(symbol)s, %(timeframe)s, %(source)s, %(answered)s::tstzmultirange, %(unconfirmed)s::tstzmultirange)
ON CONFLICT (symbol, timeframe, source)
DO UPDATE SET answered = known.answered + EXCLUDED.answered, expired = known.expired - EXCLUDED.answered,
              unconfirmed = known.unconfirmed - EXCLUDED.answered + (EXCLUDED.unconfirmed - known.answered)
