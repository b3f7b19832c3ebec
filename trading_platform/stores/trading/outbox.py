"""What is to be told of orders, written with what it tells of and told after the commit.

Numbers are given by the publisher and not when writing, because transactions commit in another
order than they begin: so they have no gaps, and one that is seen means that all before it were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.trading.orders import Fill, Order
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.postgres.records import fetch, json_text
from trading_platform.stores.postgres.sql import query

if TYPE_CHECKING:
    from sqlalchemy import Connection


KEPT_FOR = timedelta(days=30)
"""How long what was told can still be read here."""


@dataclass(frozen=True)
class Unpublished:
    """One numbered message that was not told yet.

    Attributes:
        seq: its number.
        created_at: when what it tells happened, UTC.
        payload: what it tells, decimals and times as text.
    """

    seq: int
    created_at: datetime
    payload: dict[str, Any]


def enqueue(
    connection: Connection,
    order: Order,
    before: Order | None,
    fill: Fill | None = None,
    broker_fill_id: str | None = None,
) -> None:
    """Writes what happened to an order into the outbox, in the transaction in which it happens."""
    payload = {
        "order": asdict(order),
        "previous_status": before.status if before else None,
        "fill": asdict(fill) | {"broker_fill_id": broker_fill_id} if fill else None,
    }
    row = {"order_id": order.id, "payload": json_text(payload, "order event")}
    execute(connection, query("trading/outbox/add"), row)


class OutboxStore:
    """The table ``trading.outbox``, as its publisher uses it."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def number(self) -> None:
        """Gives numbers to all that was committed since."""
        with self.database.begin() as connection:
            self.lock(connection)
            execute(connection, query("trading/outbox/number"))

    def lock(self, connection: Connection) -> None:
        """Waits until no other publisher is at work; none is until the transaction ends."""
        execute(connection, query("trading/outbox/lock"))

    def unpublished(self, connection: Connection, limit: int) -> list[Unpublished]:
        """The next messages to tell, in order."""
        return fetch(connection, Unpublished, query("trading/outbox/unpublished"), {"limit": limit})

    def mark(self, connection: Connection, numbers: Sequence[int]) -> None:
        """Notes that these were told."""
        execute(connection, query("trading/outbox/mark"), {"numbers": list(numbers)})

    def prune(self, age: timedelta = KEPT_FOR) -> int:
        """Removes what was told longer ago than ``age``, by the database's clock.

        What was not told stays however old it is, and so does the newest number, from which numbering
        goes on. Safe while others write, number and tell.

        Returns:
            How many messages were removed.

        Raises:
            InvalidRequest: if ``age`` is negative.
        """
        if age < timedelta():
            raise InvalidRequest(
                "Messages cannot be pruned by an age before their telling.",
                expected="an age of 0 or more",
                received=str(age),
                remedy="give a positive age",
            )
        with self.database.begin() as connection:
            return int(execute(connection, query("trading/outbox/prune"), {"age": age})[0][0])
