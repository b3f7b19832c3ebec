-- Adds intervals to what a source has answered for, and to what of it nobody believes yet; what it has answered for
-- before is believed.
-- Parameters: symbol, timeframe, source text, answered, pending_confirmation tstzmultirange. Conflicts on the primary key.
INSERT INTO market_data.coverage AS known (symbol, timeframe, source, answered, pending_confirmation)
VALUES (%(symbol)s, %(timeframe)s, %(source)s, %(answered)s::tstzmultirange, %(pending_confirmation)s::tstzmultirange)
ON CONFLICT (symbol, timeframe, source)
DO UPDATE SET answered = known.answered + EXCLUDED.answered, expired = known.expired - EXCLUDED.answered,
              pending_confirmation = known.pending_confirmation - EXCLUDED.answered + (EXCLUDED.pending_confirmation - known.answered)
