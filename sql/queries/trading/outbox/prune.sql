-- Deletes messages published or set aside longer ago than an age, and counts them. The newest number stays, because
-- numbering continues from it. Reads the whole table, which has few messages older than that.
WITH removed AS (
    DELETE FROM trading.outbox
    WHERE published_at < clock_timestamp() - %(age)s::interval AND seq < (SELECT max(seq) FROM trading.outbox)
       OR fault IS NOT NULL AND created_at < clock_timestamp() - %(age)s::interval
    RETURNING 1
)
SELECT count(*) FROM removed
