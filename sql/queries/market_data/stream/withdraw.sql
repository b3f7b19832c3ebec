-- Takes minutes out of what a source has answered for, because something was told of them afterwards.
-- Parameters: source text, symbols text[], withdrawn text[] (multiranges). Rides on the primary key.
UPDATE market_data.coverage AS known
SET answered = known.answered - late.minutes::tstzmultirange
FROM unnest(%(symbols)s::text[], %(withdrawn)s::text[]) AS late (symbol, minutes)
WHERE known.symbol = late.symbol AND known.timeframe = '1m' AND known.source = %(source)s
  AND known.answered && late.minutes::tstzmultirange
