-- The last failed request for each window of some symbols that no source has answered for since.
-- Parameters: symbols text[], timeframe text. Uses coverage_requests_symbol_timeframe.
SELECT DISTINCT ON (request.symbol, request.asked)
    request.symbol, request.source, lower(request.asked), upper(request.asked), request.note, request.asked_at
FROM market_data.coverage_requests AS request
WHERE request.symbol = ANY(%(symbols)s) AND request.timeframe = %(timeframe)s AND request.outcome = 'failed'
  AND NOT EXISTS (
      SELECT FROM market_data.coverage AS known
      WHERE known.symbol = request.symbol AND known.timeframe = request.timeframe
        AND known.answered + known.pending_confirmation @> request.asked)
ORDER BY request.symbol, request.asked, request.id DESC
