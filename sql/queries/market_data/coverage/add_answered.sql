-- Adds intervals to the coverage of a source, and to those pending confirmation, except where the source has answered
-- before. Returns whether any was added to the answered ones.
-- Parameters: symbol, timeframe, source text, answered, pending_confirmation tstzmultirange. Conflicts on the primary key.
WITH before AS MATERIALIZED (
    SELECT answered FROM market_data.coverage
    WHERE symbol = %(symbol)s AND timeframe = %(timeframe)s AND source = %(source)s
)
INSERT INTO market_data.coverage AS known (symbol, timeframe, source, answered, pending_confirmation)
VALUES (%(symbol)s, %(timeframe)s, %(source)s, %(answered)s::tstzmultirange, %(pending_confirmation)s::tstzmultirange)
ON CONFLICT (symbol, timeframe, source)
DO UPDATE SET answered = known.answered + EXCLUDED.answered, expired = known.expired - EXCLUDED.answered,
              pending_confirmation = known.pending_confirmation - EXCLUDED.answered + (EXCLUDED.pending_confirmation - known.answered)
RETURNING NOT COALESCE((SELECT answered FROM before), '{}') @> %(answered)s::tstzmultirange
