-- The checkpoint of a paged request.
-- Parameters: symbol, timeframe, source text. Uses the primary key.
SELECT at, token FROM market_data.checkpoints
WHERE symbol = %(symbol)s AND timeframe = %(timeframe)s AND source = %(source)s
