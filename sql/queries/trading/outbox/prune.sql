-- Deletes messages published or set aside longer ago than an age, and counts them.
SELECT trading.prune_outbox(%(age)s::interval)
