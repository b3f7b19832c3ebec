-- Bars of some symbols in a window, sorted as bars are.
-- Parameters: symbols text[], start, end timestamptz. The placeholder table is the table of the timeframe.
-- Uses <table>_symbol_time.
SELECT time, symbol, timeframe, open, high, low, close, volume, source, quality
FROM {table}
WHERE symbol = ANY(%(symbols)s) AND time >= %(start)s AND time < %(end)s
ORDER BY symbol, time
