-- Inserts a decision; time and id default to values of the database.
INSERT INTO audit.decisions
    (id, "timestamp", decision_type, symbol, signals, risk_check, final_action, reasoning, order_id)
VALUES
    (COALESCE(%(id)s::uuid, gen_random_uuid()), COALESCE(%(timestamp)s::timestamptz, clock_timestamp()),
     %(decision_type)s, %(symbol)s, %(signals)s, %(risk_check)s, %(final_action)s, %(reasoning)s, %(order_id)s)
RETURNING *
