-- Manifest of a month in a relation: rows, first and last time, lowest and highest id, and the sums of the two halves
-- of each row's digest. stores/audit/archive_manifest.py computes the same digest from the rows of a file.
SELECT count(*), min("timestamp"), max("timestamp"), min(id), max(id),
       COALESCE(sum(('x' || left(digest, 16))::bit(64)::bigint), 0),
       COALESCE(sum(('x' || substr(digest, 17, 16))::bit(64)::bigint), 0)
FROM (
    SELECT "timestamp", id, encode(sha256(convert_to(
        COALESCE(char_length(id) || ':' || id, '-')
        || COALESCE(char_length(microseconds) || ':' || microseconds, '-')
        || COALESCE(char_length(decision_type) || ':' || decision_type, '-')
        || COALESCE(char_length(symbol) || ':' || symbol, '-')
        || COALESCE(char_length(signals) || ':' || signals, '-')
        || COALESCE(char_length(risk_check) || ':' || risk_check, '-')
        || COALESCE(char_length(final_action) || ':' || final_action, '-')
        || COALESCE(char_length(reasoning) || ':' || reasoning, '-')
        || COALESCE(char_length(order_id) || ':' || order_id, '-'), 'UTF8')), 'hex') AS digest
    FROM (
        SELECT id::text COLLATE "C" AS id, "timestamp",
               ((extract(epoch FROM "timestamp") * 1000000)::bigint)::text AS microseconds,
               decision_type, symbol, signals::text AS signals, risk_check::text AS risk_check,
               final_action, reasoning, order_id::text AS order_id
        FROM {place}
        WHERE "timestamp" >= %(first)s AND "timestamp" < %(after)s
    ) AS texts
) AS digests
