"""Publishes committed messages of the outbox on the channel and stream ``orders``, each message once.

It works in three steps, with a crash allowed after each: numbers are assigned and committed; each message is published
under its number, which Redis accepts once; published messages are marked. If a publisher is killed in between, some
messages are published but not marked: the next publisher sends them again, Redis has them already, and no subscriber
receives them twice. Publishers wait for each other, so the stream is in the order of the numbers, and the changes of
one order are in the order in which they were made. A message that has not the form of a change of an order gets no
number and is set aside.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.messages import order_message
from trading_platform.stores.trading.outbox import OutboxStore

BATCH = 500
"""Messages published between two marks: the most that are sent again after a crash."""


class Publisher(Protocol):
    """Destination of messages."""

    def publish(self, seq: int, message: str) -> bool:
        """Publishes a message unless its number was published before; returns whether this call published it."""


def publish_outbox(outbox: OutboxStore, publisher: Publisher, batch: int = BATCH) -> int:
    """Publishes all committed messages that are not published yet.

    Returns:
        Number of published messages.

    Raises:
        StoreUnavailable: if a server is unavailable; the next call publishes the remaining messages.
        StoreError: if the stream has other messages than the ledger.
    """
    outbox.number(_fault_of)
    published = 0
    while True:
        withdrawn = False
        with outbox.database.begin() as connection:
            outbox.lock(connection)
            unpublished = outbox.unpublished(connection, batch)
            sent: list[int] = []
            for each in unpublished:
                try:
                    message = order_message(each.seq, each.created_at, each.payload)
                except InvalidRequest as error:  # numbered by a version with another form
                    outbox.withdraw(connection, each, str(error))
                    withdrawn = True
                    break
                published += publisher.publish(each.seq, message)
                sent.append(each.seq)
            outbox.mark(connection, sent)
        if withdrawn:
            outbox.number(_fault_of)
        elif len(unpublished) < batch:
            return published


def _fault_of(created_at: datetime, payload: str) -> str | None:
    try:
        order_message(1, created_at, payload)
    except InvalidRequest as error:
        return str(error)
    return None
