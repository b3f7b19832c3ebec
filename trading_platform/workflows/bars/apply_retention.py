"""Applies the retention rules to the tables of bars and indicators, and reports what is overdue.

The rules are in ``config.retention``. With TimescaleDB its own policies compress and drop chunks; this module sets
those policies to the rules and checks their effect.
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
    """Result of a retention run.

    Attributes:
        policies: descriptions of the changes to TimescaleDB's policies.
        partitions: number of partitions created ahead.
        dropped: partitions that were past their retention.
        pruned: number of deleted order messages that were published long ago.
        tables: present status of each table.
    """

    policies: tuple[str, ...]
    partitions: int
    dropped: tuple[Dropped, ...]
    pruned: int
    tables: tuple[TableStatus, ...]


def apply_retention(stores: Stores, *, clock: Clock) -> RetentionReport:
    """Creates partitions ahead, refreshes the hours of new minutes, and then drops what is past its retention.

    Raises:
        ConfigurationError: if only a role is configured; only the owner of the tables may change them.
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
    """Descriptions of the overdue retention work; empty if there is none."""
    found = []
    for table in tables:
        if table.overdue:
            rule = f"kept {table.keep or 'for ever'}, compressed after {table.compress_after}"
            found.append(f"{table.table} has {table.overdue} chunks past their time ({rule})")
        if table.compressed is None and (table.newest_end is None or table.newest_end < clock() + timedelta(days=1)):
            found.append(f"{table.table} has no partition for tomorrow")
    return found
