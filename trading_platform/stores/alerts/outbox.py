"""The outbox of messages to people: written once, sent in order to each channel, lost by no crash.

A sender leases the first waiting message of a channel, sends it and marks it. If it dies in between, the lease ends and
another sends the message again: each such death repeats one message, and never out of order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from trading_platform.domain.alerts.notifications import Sent
from trading_platform.domain.severity import Severity
from trading_platform.domain.texts import storable
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.postgres.sql import query

if TYPE_CHECKING:
    from sqlalchemy import Connection

LEASE = timedelta(minutes=2)
"""How long a sender has a message; longer than any channel may take."""

_DAY = timedelta(days=1)
_LONGEST_ERROR = 1_000


@dataclass(frozen=True)
class Notification:
    """A message to people.

    Attributes:
        number: its number.
        created_at: when it was written, UTC.
        severity: highest severity of what goes on; ``info`` where all is over.
        text: its text.
        incidents: numbers of its incidents.
    """

    number: int
    created_at: datetime
    severity: Severity
    text: str
    incidents: tuple[int, ...]


@dataclass(frozen=True)
class Delivery:
    """A message that is to be sent to a channel.

    Attributes:
        notification: the message.
        channel: name of the channel.
        attempts: how often it failed before.
    """

    notification: Notification
    channel: str
    attempts: int


@dataclass(frozen=True)
class ChannelState:
    """How a channel is.

    Attributes:
        channel: its name.
        sent, waiting, parked: numbers of messages.
        oldest: when the oldest waiting one was written, UTC.
        error: why the last attempt failed.
    """

    channel: str
    sent: int
    waiting: int
    parked: int
    oldest: datetime | None
    error: str | None


class NotificationOutbox:
    """The tables ``audit.notifications`` and ``audit.deliveries``.

    Args:
        database: the database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @staticmethod
    def write(
        connection: Connection,
        text: str,
        severity: Severity,
        incidents: Sequence[int],
        channels: Sequence[str],
        at: datetime,
    ) -> int:
        """Writes a message for some channels, in the caller's transaction; returns its number."""
        row = {"at": at, "severity": severity.value, "text": storable(text), "incidents": list(incidents)}
        ((number,),) = execute(
            connection,
            "INSERT INTO audit.notifications (created_at, severity, text, incidents)"
            " VALUES (%(at)s, %(severity)s, %(text)s, %(incidents)s) RETURNING number",
            row,
        )
        for channel in channels:
            execute(
                connection,
                "INSERT INTO audit.deliveries (notification, channel, due_at) VALUES (%(number)s, %(channel)s, %(at)s)",
                {"number": number, "channel": channel, "at": at},
            )
        return int(number)

    def sent(self, now: datetime) -> Sent:
        """The messages before now."""
        ((count, last),) = self._database.rows(
            "SELECT count(*) FILTER (WHERE created_at > %(since)s), max(created_at) FROM audit.notifications",
            {"since": now - _DAY},
        )
        return Sent(count, last)

    def claim(self, channel: str, now: datetime) -> Delivery | None:
        """Takes the first waiting message of a channel; None if there is none, it is not due, or somebody has it."""
        with self._database.begin() as connection:
            rows = execute(connection, query("audit/alerts/claim"), {"channel": channel, "now": now, "lease": LEASE})
        if not rows:
            return None
        number, created, severity, text, incidents, attempts = rows[0]
        notification = Notification(number, created, Severity(severity), text, tuple(incidents))
        return Delivery(notification, channel, attempts)

    def mark_sent(self, delivery: Delivery, at: datetime) -> None:
        """Records that the channel has taken a message."""
        self._end(delivery, "state = 'sent', sent_at = %(at)s, error = NULL", {"at": at})

    def put_off(self, delivery: Delivery, until: datetime, error: str, *, counts: bool) -> None:
        """Records that a message is tried again later.

        Args:
            delivery: the message.
            until: when, UTC.
            error: why.
            counts: whether it was a failed attempt; a channel that asks to wait is none.
        """
        change = "due_at = %(until)s, attempts = attempts + %(failed)s, error = %(error)s"
        self._end(delivery, change, {"until": until, "failed": int(counts), "error": _shortened(error)})

    def park(self, delivery: Delivery, error: str) -> None:
        """Records that a message can never be sent to a channel; what is behind it goes on."""
        self._end(delivery, "state = 'parked', error = %(error)s", {"error": _shortened(error)})

    def channels(self) -> list[ChannelState]:
        """How each channel is, by name."""
        rows = self._database.rows(
            "SELECT channel, count(*) FILTER (WHERE state = 'sent'), count(*) FILTER (WHERE state = 'waiting'),"
            " count(*) FILTER (WHERE state = 'parked'), min(created_at) FILTER (WHERE state = 'waiting'),"
            " (array_agg(error ORDER BY notification) FILTER (WHERE error IS NOT NULL AND state <> 'sent'))[1]"
            " FROM audit.deliveries JOIN audit.notifications ON number = notification GROUP BY channel ORDER BY channel"
        )
        return [ChannelState(*row) for row in rows]

    def _end(self, delivery: Delivery, change: str, values: dict[str, object]) -> None:
        key = {"number": delivery.notification.number, "channel": delivery.channel}
        with self._database.begin() as connection:
            execute(
                connection,
                f"UPDATE audit.deliveries SET leased_until = NULL, {change}"  # noqa: S608 - words of ours
                " WHERE notification = %(number)s AND channel = %(channel)s AND state = 'waiting'",
                {**key, **values},
            )


def _shortened(text: str) -> str:
    return storable(text)[:_LONGEST_ERROR]
