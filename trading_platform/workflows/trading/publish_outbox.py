"""Publishes what has been committed to the ledger on the channel and stream ``orders``, each message once.

It works in three steps, and a crash may follow any of them: it assigns and commits sequence numbers; it publishes
each message under its number, which Redis accepts once; it marks the published messages. A publisher killed in
between leaves messages that are published but not marked: the next one publishes them again, Redis has them
already, and readers receive them once. Publishers wait for each other, so the stream is in the order of the
numbers, and the changes of one order are in the order in which they were made.
"""

from __future__ import annotations

from typing import Protocol

from trading_platform.domain.messages import order_message
from trading_platform.stores.trading.outbox import OutboxStore

BATCH = 500
"""Messages published between two marks: up to as many are published again after a crash."""


class Publisher(Protocol):
    """The destination of messages."""

    def publish(self, seq: int, message: str) -> bool:
        """Publishes a message unless its number was published before; returns whether it was published now."""


def publish_outbox(outbox: OutboxStore, teller: Publisher, batch: int = BATCH) -> int:
    """Publishes every committed message that has not been published.

    Returns:
        The number of messages published.

    Raises:
        StoreUnavailable: if a server is unavailable; the next call publishes what is left.
        StoreError: if the stream has other messages than the ledger.
    """
    outbox.number()
    told = 0
    while True:
        with outbox.database.begin() as connection:
            outbox.lock(connection)
            unpublished = outbox.unpublished(connection, batch)
            for each in unpublished:
                told += teller.publish(each.seq, order_message(each.seq, each.created_at, each.payload))
            outbox.mark(connection, [each.seq for each in unpublished])
        if len(unpublished) < batch:
            return told
