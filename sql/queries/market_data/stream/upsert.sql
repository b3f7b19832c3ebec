-- Inserts or replaces bars; equal stored bars are not written. Conflicts on the primary key.
-- Parameters: one array per column; numbers as text; recorded_at timestamptz.
INSERT INTO {table} AS bar (time, symbol, open, high, low, close, volume, source, quality, recorded_at)
SELECT given.*, %(recorded_at)s::timestamptz
FROM unnest(%(time)s::timestamptz[], %(symbol)s::text[],
            %(open)s::text[]::numeric[], %(high)s::text[]::numeric[], %(low)s::text[]::numeric[],
            %(close)s::text[]::numeric[], %(volume)s::text[]::numeric[], %(source)s::text[], %(quality)s::text[]) AS given
ON CONFLICT (time, symbol, timeframe)
DO UPDATE SET open = EXCLUDED.open, high = EXCLUDED.high, low = EXCLUDED.low, close = EXCLUDED.close,
              volume = EXCLUDED.volume, source = EXCLUDED.source, quality = EXCLUDED.quality,
              recorded_at = EXCLUDED.recorded_at
WHERE (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.source, bar.quality)
      IS DISTINCT FROM
      (EXCLUDED.open, EXCLUDED.high, EXCLUDED.low, EXCLUDED.close, EXCLUDED.volume, EXCLUDED.source, EXCLUDED.quality)
