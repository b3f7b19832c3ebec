-- Notes why a message cannot be published; it has no number then. By primary key.
UPDATE trading.outbox SET fault = %(fault)s, seq = NULL WHERE id = %(id)s
