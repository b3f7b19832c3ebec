-- Takes intervals out of what a source has answered for, held or not, because it would answer otherwise now.
-- Parameters: symbol, timeframe, source text, withdrawn tstzmultirange. Rides on the primary key.
UPDATE market_data.coverage
SET answered = answered - %(withdrawn)s::tstzmultirange, expired = expired - %(withdrawn)s::tstzmultirange,
    pending_confirmation = pending_confirmation - %(withdrawn)s::tstzmultirange
WHERE symbol = %(symbol)s AND timeframe = %(timeframe)s AND source = %(source)s
