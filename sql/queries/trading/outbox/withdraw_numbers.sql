-- Takes the numbers from a given one on back from messages that are not published. Uses the unique index of seq.
UPDATE trading.outbox SET seq = NULL WHERE seq >= %(seq)s AND published_at IS NULL
