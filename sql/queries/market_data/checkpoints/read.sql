-- Where a request goes on.
-- Parameters: symbol, timeframe, source text. Rides on the primary key.
SELECT at, token FROM market_data.checkpoints
WHERE symbol = %(symbol)s AND timeframe = %(timeframe)s AND source = %(source)s
