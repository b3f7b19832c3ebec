"""Tells on the channel and stream ``orders`` what has been committed to the ledger, each thing once.

In three steps, any of which can be the last before a crash: numbers are given and committed; each
message is told under its number, which Redis takes once; what was told is marked. A publisher that
was killed in between leaves behind messages that are told and not marked: the next one tells them
again, Redis has them, and nobody hears them twice. Publishers wait for each other, so the stream is in
the order of the numbers, and the changes of one order are in the order in which they were made.
"""

from __future__ import annotations

from typing import Protocol

from trading_platform.domain.messages import order_message
from trading_platform.stores.trading.outbox import OutboxStore

BATCH = 500
"""Messages told between two marks: as many are told again after a crash."""


class Publisher(Protocol):
    """Where messages go."""

    def publish(self, seq: int, message: str) -> bool:
        """Tells a message unless its number was told; whether it is told only now."""


def publish_outbox(outbox: OutboxStore, teller: Publisher, batch: int = BATCH) -> int:
    """Tells everything that has been committed and not been told.

    Returns:
        How many messages were told.

    Raises:
        StoreUnavailable: if a server is away; what is left is told by the next call.
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
