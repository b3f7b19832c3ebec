-- Records the data of a stream as requests, one row per symbol, timeframe, source and day. Where bars changed, the row
-- gets a new id, because the highest id is the version of the bars; where none did, at most its end changes.
-- Parameters: symbols, timeframes, sources text[], days, ends timestamptz[], stored integer[], changed boolean[],
-- asked_at timestamptz. Uses coverage_requests_stream; the caller holds the locks of these bars.
WITH given AS MATERIALIZED (
    SELECT *
    FROM unnest(%(symbols)s::text[], %(timeframes)s::text[], %(sources)s::text[], %(days)s::timestamptz[],
                %(ends)s::timestamptz[], %(stored)s::integer[], %(changed)s::boolean[])
         AS given (symbol, timeframe, source, day, until, stored, changed)
), moved AS (
    UPDATE market_data.coverage_requests AS request
    SET id = DEFAULT, changed = TRUE, stored = request.stored + given.stored,
        outcome = CASE WHEN request.stored + given.stored > 0 THEN 'stored' ELSE 'empty' END,
        asked = tstzrange(given.day, greatest(upper(request.asked), given.until)), asked_at = %(asked_at)s
    FROM given
    WHERE given.changed AND request.origin = 'stream' AND request.symbol = given.symbol
      AND request.timeframe = given.timeframe AND request.source = given.source AND lower(request.asked) = given.day
), widened AS (
    UPDATE market_data.coverage_requests AS request
    SET asked = tstzrange(given.day, given.until), asked_at = %(asked_at)s
    FROM given
    WHERE NOT given.changed AND request.origin = 'stream' AND request.symbol = given.symbol
      AND request.timeframe = given.timeframe AND request.source = given.source AND lower(request.asked) = given.day
      AND upper(request.asked) < given.until
)
INSERT INTO market_data.coverage_requests
    (symbol, timeframe, source, asked, outcome, stored, changed, origin, asked_at)
SELECT symbol, timeframe, source, tstzrange(day, until), CASE WHEN stored > 0 THEN 'stored' ELSE 'empty' END,
       stored, changed, 'stream', %(asked_at)s
FROM given
WHERE NOT EXISTS (
    SELECT FROM market_data.coverage_requests AS request
    WHERE request.origin = 'stream' AND request.symbol = given.symbol AND request.timeframe = given.timeframe
      AND request.source = given.source AND lower(request.asked) = given.day)
