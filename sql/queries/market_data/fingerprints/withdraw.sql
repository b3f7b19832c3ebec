-- Takes windows out of what anybody has answered for, because what was stored there is lost or changed.
-- Parameters: symbol, timeframe text, windows tstzmultirange. Rides on the primary key.
UPDATE market_data.coverage
SET answered = answered - %(windows)s::tstzmultirange, unconfirmed = unconfirmed - %(windows)s::tstzmultirange
WHERE symbol = %(symbol)s::varchar AND timeframe = %(timeframe)s::text
  AND (answered && %(windows)s::tstzmultirange OR unconfirmed && %(windows)s::tstzmultirange)
