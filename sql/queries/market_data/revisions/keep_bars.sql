-- Keeps bars as revisions, before they are updated in the same transaction.
-- Parameters: symbols text[], times timestamptz[], side by side; first, last timestamptz (the span of times, which
-- excludes the other partitions and TimescaleDB's other batches), replaced_at timestamptz, reason text. Uses the primary key.
INSERT INTO market_data.bar_revisions (time, symbol, timeframe, open, high, low, close, volume, source, quality, recorded_at, replaced_at, reason)
SELECT bar.time, bar.symbol, bar.timeframe, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.source, bar.quality,
       bar.recorded_at, %(replaced_at)s::timestamptz, %(reason)s::text
FROM {table} AS bar
JOIN unnest(%(symbols)s::text[], %(times)s::timestamptz[]) AS wanted (symbol, time)
    ON bar.symbol = wanted.symbol AND bar.time = wanted.time
WHERE bar.symbol = ANY(%(symbols)s::text[]) AND bar.time >= %(first)s AND bar.time <= %(last)s
