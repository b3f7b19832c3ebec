-- Records one request and its outcome.
INSERT INTO market_data.coverage_requests
    (symbol, timeframe, source, asked, outcome, stored, rejected, changed, origin, note, asked_at)
VALUES
    (%(symbol)s, %(timeframe)s, %(source)s, tstzrange(%(start)s, %(end)s), %(outcome)s,
     %(stored)s, %(rejected)s, %(changed)s, %(origin)s, %(note)s, %(asked_at)s)
