-- Adds an instrument or changes the existing one; returns TRUE if it is new. Conflicts on the primary key.
INSERT INTO config.instruments
    (symbol, asset_class, calendar, source, sector, benchmark, tick_size, fallback_sources, lot_size)
VALUES (%(symbol)s, %(asset_class)s, %(calendar)s, %(source)s, %(sector)s, %(benchmark)s, %(tick_size)s,
        %(fallback_sources)s, %(lot_size)s)
ON CONFLICT (symbol)
DO UPDATE SET asset_class = EXCLUDED.asset_class, calendar = EXCLUDED.calendar, source = EXCLUDED.source,
              sector = EXCLUDED.sector, benchmark = EXCLUDED.benchmark, tick_size = EXCLUDED.tick_size,
              fallback_sources = EXCLUDED.fallback_sources, lot_size = EXCLUDED.lot_size
RETURNING (xmax = 0)
