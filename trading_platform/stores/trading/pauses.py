"""Pauses of trading: while one goes on the database refuses new orders, whoever places them.

Redis has a copy for agents, ``circuit:trading``; the database decides (decision 0068).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from trading_platform.domain.errors import InvalidRequest
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.postgres.records import checked_count, checked_text, checked_time

CONSTRAINT = "trading_paused"
"""What the trigger of migration 0020 names as its constraint."""

_NAME = 200
_TEXT = 10_000


@dataclass(frozen=True)
class Pause:
    """A pause of trading.

    Attributes:
        number: its number.
        began_at: when it began, UTC.
        began_by: who or what began it.
        because: for which reason.
        until: when it ends by itself, UTC; None: when a person ends it.
        trials_left: so many orders can be placed as a trial.
        ended_at: when a person ended it, UTC.
        ended_by: who did.
        ended_because: for which reason.
    """

    number: int
    began_at: datetime
    began_by: str
    because: str
    until: datetime | None
    trials_left: int
    ended_at: datetime | None
    ended_by: str | None
    ended_because: str | None


class PauseStore:
    """The table ``trading.pauses``.

    Args:
        database: the database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def going(self, now: datetime) -> list[Pause]:
        """The pauses that go on, by number."""
        rows = self._database.rows(
            "SELECT * FROM trading.pauses WHERE ended_at IS NULL AND (until IS NULL OR until > %(now)s)"
            " ORDER BY number",
            {"now": now},
        )
        return [Pause(*row) for row in rows]

    def state(self, now: datetime) -> str:
        """``open`` (no order can be placed), ``half_open`` (some as a trial) or ``closed`` (nothing is paused)."""
        going = self.going(now)
        if not going:
            return "closed"
        return "half_open" if all(pause.trials_left for pause in going) else "open"

    def begin(self, *, by: str, because: str, at: datetime, until: datetime | None = None) -> Pause:
        """Begins a pause; one that goes on by the same, for the same reason, is not doubled.

        Raises:
            InvalidRequest: if a text is empty or too long, or it would end before it begins.
        """
        end = None if until is None else checked_time(until, "end of the pause")
        if end is not None and end <= at:
            raise InvalidRequest(
                "A pause has to end in the future.",
                expected=f"a time after {at:%Y-%m-%d %H:%M} UTC",
                received=f"{end:%Y-%m-%d %H:%M} UTC",
                remedy="give a later end, or none",
            )
        row = {
            "by": checked_text(by, "name", _NAME),
            "because": checked_text(because, "reason", _TEXT),
            "at": at,
            "until": end,
        }
        same = next((each for each in self.going(at) if (each.began_by, each.because) == (by, because)), None)
        if same is not None:
            return same
        with self._database.begin() as connection:
            rows = execute(
                connection,
                "INSERT INTO trading.pauses (began_at, began_by, because, until)"
                " VALUES (%(at)s, %(by)s, %(because)s, %(until)s) RETURNING *",
                row,
            )
        return Pause(*rows[0])

    def end(self, *, by: str, because: str, at: datetime) -> list[Pause]:
        """Ends all pauses that go on.

        Raises:
            InvalidRequest: if none does.
        """
        row = {"by": checked_text(by, "name", _NAME), "because": checked_text(because, "reason", _TEXT), "at": at}
        with self._database.begin() as connection:
            rows = execute(
                connection,
                "UPDATE trading.pauses SET ended_at = %(at)s, ended_by = %(by)s, ended_because = %(because)s"
                " WHERE ended_at IS NULL AND (until IS NULL OR until > %(at)s) RETURNING *",
                row,
            )
        if not rows:
            raise _nothing_paused()
        return [Pause(*each) for each in sorted(rows)]

    def try_orders(self, orders: int, at: datetime) -> list[Pause]:
        """Lets some orders through as a trial, after which the pauses that go on hold again.

        Raises:
            InvalidRequest: if nothing is paused, or the number is none.
        """
        row = {"orders": checked_count(orders, "number of trial orders"), "at": at}
        with self._database.begin() as connection:
            rows = execute(
                connection,
                "UPDATE trading.pauses SET trials_left = %(orders)s"
                " WHERE ended_at IS NULL AND (until IS NULL OR until > %(at)s) RETURNING *",
                row,
            )
        if not rows:
            raise _nothing_paused()
        return [Pause(*each) for each in sorted(rows)]


@contextmanager
def refused_while_paused() -> Iterator[None]:
    """Runs a statement that places an order.

    Raises:
        InvalidRequest: if trading is paused.
    """
    from psycopg.errors import CheckViolation

    try:
        yield
    except CheckViolation as error:
        if error.diag.constraint_name != CONSTRAINT:
            raise
        raise InvalidRequest(
            "No order can be placed now.",
            expected="trading that is not paused; orders can be cancelled and fills recorded",
            received=error.diag.message_primary,
            remedy="a person looks at the reason and ends it with `trading-platform circuit reset --because …`",
        ) from None


def _nothing_paused() -> InvalidRequest:
    return InvalidRequest(
        "Trading is not paused.",
        expected="a pause that goes on",
        received="none",
        remedy="there is nothing to do",
    )
