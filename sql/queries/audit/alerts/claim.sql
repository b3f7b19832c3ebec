-- Takes the first waiting message of a channel, if it is due and nobody has it: what is behind it waits, so order is kept.
-- Parameters: channel, now timestamptz, lease interval.
UPDATE audit.deliveries AS taken
SET leased_until = %(now)s::timestamptz + %(lease)s::interval
FROM (
    SELECT notification, channel, due_at, leased_until FROM audit.deliveries
    WHERE channel = %(channel)s AND state = 'waiting'
    ORDER BY notification
    LIMIT 1
    FOR UPDATE
) AS first
JOIN audit.notifications AS message ON message.number = first.notification
WHERE taken.notification = first.notification AND taken.channel = first.channel
  AND first.due_at <= %(now)s AND (first.leased_until IS NULL OR first.leased_until <= %(now)s)
RETURNING message.number, message.created_at, message.severity::text, message.text, message.incidents, taken.attempts
