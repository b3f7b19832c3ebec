-- Deletes bars of one symbol, and keeps them as revisions.
-- Parameters: symbol text, times timestamptz[], first, last timestamptz (the span of times, which excludes the other
-- partitions and TimescaleDB's other batches), replaced_at timestamptz, reason text. Uses <table>_symbol_time.
WITH replaced AS (
    DELETE FROM {table}
    WHERE symbol = %(symbol)s AND time >= %(first)s AND time <= %(last)s AND time = ANY(%(times)s::timestamptz[])
    RETURNING time, symbol, timeframe, open, high, low, close, volume, source, quality, recorded_at
)
INSERT INTO market_data.bar_revisions (time, symbol, timeframe, open, high, low, close, volume, source, quality, recorded_at, replaced_at, reason)
SELECT time, symbol, timeframe, open, high, low, close, volume, source, quality, recorded_at, %(replaced_at)s::timestamptz, %(reason)s::text FROM replaced
