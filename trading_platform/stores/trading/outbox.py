"""The transactional outbox: messages about orders, written with the change and published after the commit.

The publisher assigns sequence numbers, not the writer, because transactions commit in another order than they begin:
so the numbers have no gaps, and a visible number implies that all before it were assigned. Any agent may write into the
table, so a message that cannot be published is set aside, without a number, and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.severity import Severity
from trading_platform.domain.trading.orders import Fill, Order
from trading_platform.stores.audit.journal import AuditStore
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.postgres.records import fetch, json_text
from trading_platform.stores.postgres.sql import query

if TYPE_CHECKING:
    from sqlalchemy import Connection


KEPT_FOR = timedelta(days=30)
"""How long published messages stay in the table."""

_CHECKED_AT_ONCE = 1_000  # messages in memory
_LISTED = 20  # ids in an event

FaultOf = Callable[[datetime, str], str | None]
"""Why a message with this time and content cannot be published; None if it can."""


@dataclass(frozen=True)
class Unpublished:
    """A numbered message that is not published yet.

    Attributes:
        id: of the row.
        seq: its number.
        created_at: time of the change, UTC.
        payload: content in JSON, with decimals and times as text.
    """

    id: int
    seq: int
    created_at: datetime
    payload: str


def enqueue(
    connection: Connection,
    order: Order,
    before: Order | None,
    fill: Fill | None = None,
    broker_fill_id: str | None = None,
    replaced: Sequence[Fill] = (),
) -> None:
    """Writes a message about a change of an order to the outbox, in the transaction of the change.

    Args:
        connection: connection in the transaction.
        order: the order after the change.
        before: the order before it; None if it is new.
        fill: the fill that caused the change; None if no fill did, or an execution was cancelled.
        broker_fill_id: the broker's id of the fill.
        replaced: the fills that do not count any more since the change.
    """
    payload = {
        "order": asdict(order),
        "previous_status": before.status if before else None,
        "fill": asdict(fill) | {"broker_fill_id": broker_fill_id} if fill else None,
        "replaced": [asdict(each) for each in replaced],
    }
    row = {"order_id": order.id, "payload": json_text(payload, "order event")}
    execute(connection, query("trading/outbox/add"), row)


class OutboxStore:
    """The table ``trading.outbox``, for its publisher."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def number(self, fault_of: FaultOf) -> None:
        """Assigns numbers to all committed messages that can be published, and sets the others aside.

        What is set aside stays in the table with its fault, and is reported as a system event
        ``messages_set_aside``.
        """
        while True:
            with self.database.begin() as connection:
                self.lock(connection)
                found = execute(connection, query("trading/outbox/unnumbered"), {"limit": _CHECKED_AT_ONCE})
                faults = {number: fault for number, at, text in found if (fault := fault_of(at, text)) is not None}
                self._set_aside(connection, faults)
                numbered = [number for number, _, _ in found if number not in faults]
                execute(connection, query("trading/outbox/number"), {"ids": numbered})
            if len(found) < _CHECKED_AT_ONCE:
                return

    def withdraw(self, connection: Connection, message: Unpublished, fault: str) -> None:
        """Sets a numbered message aside that cannot be published, and takes the numbers after it back.

        Nothing after it was published, because messages are published in order. :meth:`number` assigns the numbers
        again, so that none is missing in the stream.
        """
        execute(connection, query("trading/outbox/withdraw_numbers"), {"seq": message.seq})
        self._set_aside(connection, {message.id: fault})

    def _set_aside(self, connection: Connection, faults: Mapping[int, str]) -> None:
        if not faults:
            return
        for number, fault in faults.items():
            execute(connection, query("trading/outbox/set_aside"), {"id": number, "fault": fault})
        first, fault = next(iter(faults.items()))
        AuditStore(self.database).add_event(
            connection,
            event_type="messages_set_aside",
            severity=Severity.ERROR,
            component="outbox",
            message=f"{len(faults):,} messages of trading.outbox cannot be published and are set aside; the others "
            f"are published. The first has the id {first}: {fault}",
            metadata={"ids": list(faults)[:_LISTED], "count": len(faults)},
        )

    def lock(self, connection: Connection) -> None:
        """Waits for other publishers, and excludes them until the transaction ends."""
        execute(connection, query("trading/outbox/lock"))

    def unpublished(self, connection: Connection, limit: int) -> list[Unpublished]:
        """The next messages to publish, in order."""
        return fetch(connection, Unpublished, query("trading/outbox/unpublished"), {"limit": limit})

    def mark(self, connection: Connection, numbers: Sequence[int]) -> None:
        """Marks these messages as published."""
        execute(connection, query("trading/outbox/mark"), {"numbers": list(numbers)})

    def prune(self, age: timedelta = KEPT_FOR) -> int:
        """Deletes the messages that were published longer ago than ``age``, by the database's clock.

        It deletes those set aside that are older, too. Other unpublished messages stay, however old, and so does the
        newest number, from which numbering continues. It is safe while other processes write, number and publish.

        Returns:
            Number of deleted messages.

        Raises:
            InvalidRequest: if ``age`` is negative.
        """
        if age < timedelta():
            raise InvalidRequest(
                "Messages cannot be pruned by a negative age.",
                expected="an age of 0 or more",
                received=str(age),
                remedy="give a positive age",
            )
        with self.database.begin() as connection:
            return int(execute(connection, query("trading/outbox/prune"), {"age": age})[0][0])
