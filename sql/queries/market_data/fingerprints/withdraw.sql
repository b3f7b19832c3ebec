-- Takes windows out of what anybody has answered for, because what was stored there is lost or changed.
-- Parameters: symbol, timeframe text, windows tstzmultirange. Rides on the primary key.
UPDATE market_data.coverage
SET answered = answered - %(windows)s::tstzmultirange, pending_confirmation = pending_confirmation - %(windows)s::tstzmultirange
WHERE symbol = %(symbol)s::varchar AND timeframe = %(timeframe)s::text
  AND (answered && %(windows)s::tstzmultirange OR pending_confirmation && %(windows)s::tstzmultirange)
