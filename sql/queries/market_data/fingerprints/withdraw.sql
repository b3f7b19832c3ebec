-- Removes windows from the coverage of all sources, because stored bars in them are missing or modified.
-- Parameters: symbol, timeframe text, windows tstzmultirange. Uses the primary key.
UPDATE market_data.coverage
SET answered = answered - %(windows)s::tstzmultirange, pending_confirmation = pending_confirmation - %(windows)s::tstzmultirange
WHERE symbol = %(symbol)s::varchar AND timeframe = %(timeframe)s::text
  AND (answered && %(windows)s::tstzmultirange OR pending_confirmation && %(windows)s::tstzmultirange)
