-- Moves rejected rows from the session's staging table into the quarantine; rows that are quarantined already are skipped.
-- Conflicts on quarantine_fingerprint_key.
INSERT INTO market_data.quarantine
    (recorded_at, source, symbol, timeframe, time, origin, line, reason, detail, record, row_count, bar, fingerprint)
SELECT now(), source, symbol, timeframe, time, origin, line, reason, detail, record, row_count, bar,
       sha256(convert_to(concat_ws(E'\x1f', source, symbol, timeframe, origin, line, reason, record), 'UTF8'))
FROM quarantine_staging
ON CONFLICT (fingerprint) DO NOTHING
