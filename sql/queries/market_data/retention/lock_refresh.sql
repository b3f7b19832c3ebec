-- Locks the hours against another refresh by the platform until the session ends; false if there is one.
SELECT pg_try_advisory_lock(hashtext('refresh'), hashtext('ohlcv_1h'))
