-- The limits as they were recorded last by a time, with their present value; removed ones are left out.
SELECT state.key, state.value, present.value AS value_now
FROM (
    SELECT DISTINCT ON (key) key, value FROM config.recorded_risk_limits
    WHERE recorded_at <= %(time)s
    ORDER BY key, id DESC
) AS state
LEFT JOIN config.risk_limits AS present USING (key)
WHERE state.value IS NOT NULL
ORDER BY state.key
