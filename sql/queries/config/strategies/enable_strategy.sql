-- Switches a strategy on or off.
UPDATE config.strategies SET enabled = %(enabled)s WHERE id = %(id)s RETURNING *
