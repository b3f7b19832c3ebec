-- Records a decision about a rejected row, once.
-- Parameters: id bigint, action, by, because text, overridden text or NULL. Conflicts on quarantine_decisions_pkey.
INSERT INTO market_data.quarantine_decisions (quarantine_id, action, decided_by, because, overridden)
VALUES (%(id)s, %(action)s, %(by)s, %(because)s, %(overridden)s)
ON CONFLICT (quarantine_id, action) DO NOTHING
RETURNING decided_at
