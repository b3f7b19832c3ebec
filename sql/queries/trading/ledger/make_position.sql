-- Inserts an empty position if there is none. Conflicts on the primary key.
INSERT INTO trading.positions (symbol) VALUES (%(symbol)s) ON CONFLICT (symbol) DO NOTHING
