-- The span of the requests, coverage and stored bars of each of some symbols.
-- Parameters: symbols varchar[], timeframe text, duration interval. Uses coverage_requests_symbol_timeframe,
-- the primary key of coverage, and <table>_symbol_time with two lookups per symbol.
SELECT symbol, min(span_start), max(span_end)
FROM (
    SELECT symbol, lower(asked) AS span_start, upper(asked) AS span_end
    FROM market_data.coverage_requests
    WHERE symbol = ANY(%(symbols)s) AND timeframe = %(timeframe)s
    UNION ALL
    SELECT symbol, lower(answered), upper(answered)
    FROM market_data.coverage
    WHERE symbol = ANY(%(symbols)s) AND timeframe = %(timeframe)s
    UNION ALL
    SELECT wanted.symbol,
           (SELECT time FROM {table} AS bar WHERE bar.symbol = wanted.symbol ORDER BY time LIMIT 1),
           (SELECT time FROM {table} AS bar WHERE bar.symbol = wanted.symbol ORDER BY time DESC LIMIT 1)
               + %(duration)s::interval
    FROM unnest(%(symbols)s::varchar[]) AS wanted (symbol)
) AS known
WHERE span_start IS NOT NULL
GROUP BY symbol
