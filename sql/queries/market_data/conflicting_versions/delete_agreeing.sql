-- Deletes the earlier conflicts of bars that are compared again.
-- Parameters: symbol, timeframe, source, compared_with text, compared tstzmultirange. Uses the primary key.
DELETE FROM market_data.conflicting_versions
WHERE symbol = %(symbol)s AND timeframe = %(timeframe)s AND source = %(source)s AND compared_with = %(compared_with)s
  AND %(compared)s::tstzmultirange @> time
