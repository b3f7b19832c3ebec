-- Removes what was told longer ago than an age, and counts it. The newest number stays, because numbering goes
-- on from it. Reads the whole table, which holds little more than what is younger than that.
WITH removed AS (
    DELETE FROM trading.outbox
    WHERE published_at < clock_timestamp() - %(age)s::interval
      AND seq < (SELECT max(seq) FROM trading.outbox)
    RETURNING seq
)
SELECT count(*) FROM removed
