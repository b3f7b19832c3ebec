-- Adds a strategy or changes the existing one. Conflicts on the primary key.
INSERT INTO config.strategies (id, name, enabled, params, allowed_symbols, regime_filter, max_positions)
VALUES (%(id)s, %(name)s, %(enabled)s, %(params)s, %(allowed_symbols)s, %(regime_filter)s, %(max_positions)s)
ON CONFLICT (id)
DO UPDATE SET name = EXCLUDED.name, enabled = EXCLUDED.enabled, params = EXCLUDED.params,
              allowed_symbols = EXCLUDED.allowed_symbols, regime_filter = EXCLUDED.regime_filter,
              max_positions = EXCLUDED.max_positions
RETURNING *
