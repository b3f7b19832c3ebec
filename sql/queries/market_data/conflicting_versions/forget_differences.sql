-- Forgets the differences of bars that are compared anew.
-- Parameters: symbol, timeframe, source, tier text, compared tstzmultirange. Rides on the primary key.
DELETE FROM market_data.overlap_differences
WHERE symbol = %(symbol)s AND timeframe = %(timeframe)s AND source = %(source)s AND tier = %(tier)s
  AND %(compared)s::tstzmultirange @> time
