"""Applies the retention rules to the tables of bars and indicators, and reports what is overdue.

The rules are in ``config.retention``. With TimescaleDB its policies compress and drop chunks; this workflow brings the
policies in line with the rules, and verifies their effect.
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
    """Result of applying retention.

    Attributes:
        policies: changes of TimescaleDB's policies, as text.
        partitions: number of partitions created ahead.
        dropped: the dropped partitions.
        pruned: number of deleted outbox messages that were published long ago.
        tables: state of each table afterwards.
    """

    policies: tuple[str, ...]
    partitions: int
    dropped: tuple[Dropped, ...]
    pruned: int
    tables: tuple[TableStatus, ...]


def apply_retention(stores: Stores, *, clock: Clock) -> RetentionReport:
    """Does the work that is due: partitions ahead, the hours of new minutes, and only then expired partitions.

    Raises:
        ConfigurationError: if only a role is configured; only the owner may change tables.
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
    """Texts about overdue work; empty if there is none."""
    found = []
    for table in tables:
        if table.overdue:
            rule = f"kept {table.keep or 'for ever'}, compressed after {table.compress_after}"
            found.append(f"{table.table} has {table.overdue} overdue chunks ({rule})")
        if table.compressed is None and (table.newest_end is None or table.newest_end < clock() + timedelta(days=1)):
            found.append(f"{table.table} has no partition for tomorrow")
    return found
