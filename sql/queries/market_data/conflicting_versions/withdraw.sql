-- Deletes comparisons and conflicts of bars that have changed since.
-- Parameters: symbol, timeframe, source text, changed tstzmultirange. Uses the primary keys.
WITH deleted AS (
    DELETE FROM market_data.conflicting_versions
    WHERE symbol = %(symbol)s AND timeframe = %(timeframe)s AND source = %(source)s
      AND %(changed)s::tstzmultirange @> time
)
UPDATE market_data.source_comparisons SET compared = compared - %(changed)s::tstzmultirange
WHERE symbol = %(symbol)s AND timeframe = %(timeframe)s AND source = %(source)s
  AND compared && %(changed)s::tstzmultirange
