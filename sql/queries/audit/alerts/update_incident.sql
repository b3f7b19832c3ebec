-- An incident as it is now. An acknowledgement is written by its command alone.
UPDATE audit.incidents
SET level = %(level)s, severity = %(severity)s, message = %(message)s, since = %(since)s, source = %(source)s,
    details = %(details)s, seen_at = %(seen_at)s, times = %(times)s, absent_since = %(absent_since)s,
    ended_at = %(ended_at)s, closed_at = %(closed_at)s, notified_at = %(notified_at)s, notified_severity = %(notified_severity)s,
    end_notified_at = %(end_notified_at)s, hidden_by = %(hidden_by)s
WHERE number = %(number)s
