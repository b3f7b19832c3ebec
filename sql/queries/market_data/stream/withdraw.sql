-- Removes minutes from the coverage of a source, because events for them arrived afterwards.
-- Parameters: source text, symbols text[], withdrawn text[] (multiranges). Uses the primary key.
UPDATE market_data.coverage AS known
SET answered = known.answered - late.minutes::tstzmultirange
FROM unnest(%(symbols)s::text[], %(withdrawn)s::text[]) AS late (symbol, minutes)
WHERE known.symbol = late.symbol AND known.timeframe = '1m' AND known.source = %(source)s
  AND known.answered && late.minutes::tstzmultirange
