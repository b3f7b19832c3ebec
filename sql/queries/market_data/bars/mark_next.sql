-- Re-marks the first bar at or after a timestamp: review if it opens too far from the close before it, else traded.
-- Parameters: symbol text, timestamp timestamptz, limit numeric (share). Uses <table>_symbol_time, two lookups.
UPDATE {table} AS bar
SET quality = CASE WHEN abs(bar.open - before.close) > before.close * %(limit)s THEN 'review' ELSE 'traded' END
FROM (SELECT time FROM {table} WHERE symbol = %(symbol)s AND time >= %(timestamp)s ORDER BY time LIMIT 1) AS next,
     (SELECT close FROM {table} WHERE symbol = %(symbol)s AND time < %(timestamp)s ORDER BY time DESC LIMIT 1) AS before
WHERE bar.symbol = %(symbol)s AND bar.time = next.time AND bar.quality IN ('traded', 'review')
  AND (abs(bar.open - before.close) > before.close * %(limit)s) <> (bar.quality = 'review')
