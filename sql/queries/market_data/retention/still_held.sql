-- Whether no bar of a timeframe can have been dropped from some windows.
-- Parameters: timeframe text, windows tstzmultirange, present timestamptz.
SELECT %(windows)s::tstzmultirange <@ market_data.held(%(timeframe)s, %(present)s)
