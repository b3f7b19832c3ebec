-- The time and the right mark of the first bar at or after a timestamp, if its mark is wrong: review if it opens too far
-- from the close before it, else traded.
-- Parameters: symbol text, timestamp timestamptz, limit numeric (share). Uses <table>_symbol_time, two lookups.
SELECT next.time, CASE WHEN is_far THEN 'review' ELSE 'traded' END
FROM (SELECT time, open, quality FROM {table} WHERE symbol = %(symbol)s AND time >= %(timestamp)s ORDER BY time LIMIT 1) AS next,
     (SELECT close FROM {table} WHERE symbol = %(symbol)s AND time < %(timestamp)s ORDER BY time DESC LIMIT 1) AS before,
     LATERAL (SELECT abs(next.open - before.close) > before.close * %(limit)s AS is_far) AS jump
WHERE next.quality IN ('traded', 'review') AND is_far <> (next.quality = 'review')
