-- Subtracts the bars in some windows of one symbol from the fingerprints of their periods.
-- Parameters: symbol, timeframe text, starts, ends timestamptz[], first, last timestamptz (from the first start to the
-- last end: these bounds exclude the other partitions). Uses <table>_symbol_time and the primary key.
UPDATE market_data.fingerprints AS known
SET bar_count = known.bar_count - gone.bar_count, checksum = known.checksum - gone.checksum
FROM (
    SELECT date_bin(market_data.fingerprint_period(%(timeframe)s::text), bar.time, timestamptz '1970-01-01 00:00:00+00') AS period_start,
           count(*) AS bar_count,
           sum(market_data.bar_weight(bar.time, open, high, low, close, volume)) AS checksum
    FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS edge (first, until)
    JOIN {table} AS bar ON bar.symbol = %(symbol)s::varchar AND bar.time >= edge.first AND bar.time < edge.until
    WHERE bar.time >= %(first)s::timestamptz AND bar.time < %(last)s::timestamptz
    GROUP BY 1
) AS gone
WHERE known.symbol = %(symbol)s::varchar AND known.timeframe = %(timeframe)s::text AND known.period_start = gone.period_start
