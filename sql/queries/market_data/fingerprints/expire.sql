-- Deletes the fingerprints of periods dropped because of their age; returns how many.
-- Parameters: present timestamptz.
WITH held AS MATERIALIZED (
    SELECT timeframe, market_data.held(timeframe, %(present)s::timestamptz) AS spans
    FROM config.retention WHERE table_name LIKE 'bars_%%' AND keep IS NOT NULL
), gone AS (
    DELETE FROM market_data.fingerprints AS known
    USING held
    WHERE known.timeframe = held.timeframe
      AND NOT held.spans @> tstzrange(period_start, period_start + market_data.fingerprint_period(known.timeframe))
    RETURNING 1
)
SELECT count(*) FROM gone
