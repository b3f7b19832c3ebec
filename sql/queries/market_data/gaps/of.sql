-- The gaps of some symbols, in order.
-- Parameters: symbols varchar[], datasets text[]. Uses gaps_dataset_symbol_starts_at_key.
SELECT id, dataset, symbol, timeframe, starts_at, ends_at, kind, state, attempts, found_at, tried_at, next_attempt_at, note, incident
FROM market_data.gaps
WHERE symbol = ANY(%(symbols)s) AND dataset = ANY(%(datasets)s)
ORDER BY dataset, symbol, starts_at
