-- Removes intervals from the coverage of a source, held or not, because its response would be different now.
-- Parameters: symbol, timeframe, source text, withdrawn tstzmultirange. Uses the primary key.
UPDATE market_data.coverage
SET answered = answered - %(withdrawn)s::tstzmultirange, expired = expired - %(withdrawn)s::tstzmultirange,
    pending_confirmation = pending_confirmation - %(withdrawn)s::tstzmultirange
WHERE symbol = %(symbol)s AND timeframe = %(timeframe)s AND source = %(source)s
