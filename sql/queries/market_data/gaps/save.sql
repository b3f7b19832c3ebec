-- Inserts the gaps of one dataset and symbol; the caller has deleted those that they replace.
-- Parameters: one array per column. Conflicts on gaps_dataset_symbol_starts_at_key.
INSERT INTO market_data.gaps AS known
    (dataset, symbol, timeframe, starts_at, ends_at, kind, state, attempts, found_at, tried_at, next_attempt_at, note, incident)
SELECT %(dataset)s::varchar, %(symbol)s::varchar, %(timeframe)s::varchar, gap.*
FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[], %(kinds)s::text[], %(states)s::text[], %(attempts)s::integer[],
            %(found)s::timestamptz[], %(tried)s::timestamptz[], %(next)s::timestamptz[], %(notes)s::text[], %(incidents)s::text[]) AS gap
ON CONFLICT (dataset, symbol, starts_at) DO UPDATE SET ends_at = greatest(known.ends_at, EXCLUDED.ends_at)
