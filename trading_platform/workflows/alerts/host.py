"""What is wrong with the machine that this process runs on: disks, the clock, Redis."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from trading_platform.domain.alerts.problems import Key, Level, Problem
from trading_platform.domain.errors import StoreError
from trading_platform.domain.severity import Severity
from trading_platform.domain.time import Clock
from trading_platform.stores.postgres.database import Database

COMPONENT = "host"

NEARLY_FULL = 0.10
FULL = 0.02
"""Shares of a disk that are free; below the first a warning, below the second an error."""

ENOUGH = 20 << 30
"""Bytes that are enough on a disk of any size for a warning to be left out."""

CLOCKS_DIFFER = timedelta(seconds=5)
"""By how much the clock of the database's machine may differ from this machine's."""


def host_problems(
    folders: Mapping[str, Path], database_clock: Clock, redis: Callable[[], None], now: datetime
) -> list[Problem]:
    """What is wrong now.

    Args:
        folders: what the platform stores on disk, by what it is.
        database_clock: the clock of the database's machine.
        redis: raises StoreError if Redis does not answer.
        now: the time of this machine, UTC.

    Raises:
        StoreError: if the database cannot be used.
    """
    return [*_disks(folders, now), *_clock(database_clock(), now), *_redis(redis, now)]


def _disks(folders: Mapping[str, Path], now: datetime) -> Iterator[Problem]:
    for device, (names, folder) in _by_device(folders.items()).items():
        usage = shutil.disk_usage(folder)
        free = usage.free / usage.total if usage.total else 1.0
        if free >= NEARLY_FULL or (usage.free >= ENOUGH and free >= FULL):
            continue
        is_full = free < FULL
        yield Problem(
            Key(COMPONENT, "disk_full" if is_full else "disk_nearly_full", str(folder)),
            Level.HOST,
            Severity.ERROR if is_full else Severity.WARNING,
            f"The disk of {', '.join(names)} ({folder}) has {free:.1%} free, {usage.free >> 20:,} MB. To do: delete "
            "what is not needed, or move the folder to a larger disk.",
            now,
            details={"device": device, "free": usage.free},
        )


def _by_device(folders: Iterable[tuple[str, Path]]) -> dict[int, tuple[list[str], Path]]:
    """The folders that are there, by disk."""
    found: dict[int, tuple[list[str], Path]] = {}
    for name, folder in folders:
        present = next((each for each in (folder, *folder.parents) if each.exists()), None)
        if present is not None:
            found.setdefault(present.stat().st_dev, ([], present))[0].append(name)
    return found


def clock_of(database: Database) -> Clock:
    """The clock of the database's machine."""

    def now() -> datetime:
        found: datetime = database.rows("SELECT clock_timestamp()")[0][0]
        return found

    return now


def _clock(theirs: datetime, now: datetime) -> Iterator[Problem]:
    differs = abs(theirs - now)
    if differs > CLOCKS_DIFFER:
        yield Problem(
            Key(COMPONENT, "clock_differs"),
            Level.SERVICE,
            Severity.ERROR,
            f"The clocks of this machine and of the database's differ by {differs.total_seconds():,.0f} s. To do: "
            "synchronise both (NTP).",
            now,
        )


def _redis(check: Callable[[], None], now: datetime) -> Iterator[Problem]:
    try:
        check()
    except StoreError as error:
        message = f"Redis cannot be used: {error}"
        yield Problem(Key(COMPONENT, "redis_away"), Level.STORE, Severity.ERROR, message, now)
