-- First and last bar of each of some symbols, and the number of bars.
-- Parameters: symbols text[]. Uses <table>_symbol_time.
SELECT symbol, min(time) AS first, max(time) AS last, count(*) AS stored
FROM {table}
WHERE symbol = ANY(%(symbols)s)
GROUP BY symbol
ORDER BY symbol
