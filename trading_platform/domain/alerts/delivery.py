"""What sends messages to people, and how it says that it cannot."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from trading_platform.domain.severity import Severity


class Notifier(Protocol):
    """A way to people, such as Telegram.

    Attributes:
        name: its name, at most 50 characters.
    """

    name: str

    def send(self, text: str, severity: Severity, incidents: Sequence[int], at: datetime) -> None:
        """Sends a message; returns when it was taken.

        Args:
            text: the message.
            severity: highest severity of what goes on; ``info`` where all is over.
            incidents: numbers of its incidents.
            at: when it was written, UTC.

        Raises:
            TryLater: if it was not taken, and may be later.
            CannotBeSent: if this message can never be sent.
        """


class TryLater(Exception):
    """A message was not taken, and may be later.

    Attributes:
        reason: why, without secrets.
        after: how long to wait, if the other side has said so; then it is no failed attempt.
    """

    def __init__(self, reason: str, after: timedelta | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after


class CannotBeSent(Exception):
    """A message can never be sent, whatever is tried.

    Attributes:
        reason: why, without secrets.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
