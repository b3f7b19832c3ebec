"""Keeps the tables of bars and indicators to their rules, and says what is overdue.

The rules are those of the document (data-architecture §3.1), in ``config.retention``. With TimescaleDB
its own policies compress and drop; here they are made what the rules say, and their effect is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from trading_platform.domain.time import Clock
from trading_platform.stores.market_data.retention import Dropped, TableStatus
from trading_platform.stores.stores import Stores
from trading_platform.stores.trading.outbox import OutboxStore


@dataclass(frozen=True)
class RetentionReport:
    """What a run of the lifecycle did.

    Attributes:
        policies: what was changed in TimescaleDB's policies, in words.
        partitions: how many were made ahead.
        dropped: partitions that were past their keep.
        pruned: messages about orders that were told long ago.
        tables: what each table holds now.
    """

    policies: tuple[str, ...]
    partitions: int
    dropped: tuple[Dropped, ...]
    pruned: int
    tables: tuple[TableStatus, ...]


def apply_retention(stores: Stores, *, clock: Clock) -> RetentionReport:
    """Does what is due: partitions ahead, the hours of new minutes, and only then what is past its keep.

    Raises:
        ConfigurationError: where only a role is configured; tables are their owner's to change.
    """
    present = clock()
    policies = stores.retention.ensure_policies()
    partitions = stores.retention.make_partitions_ahead(present)
    stores.retention.refresh_hours(present)
    dropped = stores.retention.drop_expired(present)
    stores.retention.note_expired(present)
    pruned = OutboxStore(stores.owner).prune()
    return RetentionReport(tuple(policies), partitions, tuple(dropped), pruned, tuple(stores.retention.status(present)))


def overdue(tables: Sequence[TableStatus], *, clock: Clock) -> list[str]:
    """What should have been done by now and was not, in words; empty where all is well."""
    found = []
    for table in tables:
        if table.overdue:
            rule = f"kept {table.keep or 'for ever'}, compressed after {table.compress_after}"
            found.append(f"{table.table} has {table.overdue} chunks past their time ({rule})")
        if table.compressed is None and (table.newest_end is None or table.newest_end < clock() + timedelta(days=1)):
            found.append(f"{table.table} has no partition for tomorrow")
    return found
