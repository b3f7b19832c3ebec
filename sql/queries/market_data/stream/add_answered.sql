-- As coverage/add_answered, for many symbols; unchanged coverage is not written.
-- Parameters: symbols, timeframes, sources text[], answered text[] (multiranges). Conflicts on the primary key.
INSERT INTO market_data.coverage AS known (symbol, timeframe, source, answered)
SELECT symbol, timeframe, source, answered::tstzmultirange
FROM unnest(%(symbols)s::text[], %(timeframes)s::text[], %(sources)s::text[], %(answered)s::text[])
     AS given (symbol, timeframe, source, answered)
ORDER BY symbol, timeframe, source
ON CONFLICT (symbol, timeframe, source)
DO UPDATE SET answered = known.answered + EXCLUDED.answered, expired = known.expired - EXCLUDED.answered,
              pending_confirmation = known.pending_confirmation - EXCLUDED.answered
WHERE NOT known.answered @> EXCLUDED.answered OR known.expired && EXCLUDED.answered
   OR known.pending_confirmation && EXCLUDED.answered
