"""What is wrong with the machine: disks by their share that is free, and clocks that differ."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from trading_platform.domain.severity import Severity
from trading_platform.workflows.alerts.host import host_problems

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
GB = 1 << 30


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def found(folder: Path, ahead: timedelta = timedelta(0)) -> dict[str, Severity]:
    problems = host_problems({"DATA_DIR": folder, "LOGS_DIR": folder}, lambda: NOW + ahead, lambda: None, NOW)
    return {each.key.rule: each.severity for each in problems}


@pytest.mark.parametrize(
    ("total", "free", "expected"),
    [
        (100 * GB, 11 * GB, {}),
        (100 * GB, 9 * GB, {"disk_nearly_full": Severity.WARNING}),
        (100 * GB, GB, {"disk_full": Severity.ERROR}),
        (1000 * GB, 30 * GB, {}),  # 3 %, but enough on a disk of any size
        (2000 * GB, 30 * GB, {"disk_full": Severity.ERROR}),
    ],
)
def test_a_disk_is_judged_by_what_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, total: int, free: int, expected: dict[str, Severity]
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(total, total - free, free))
    assert found(tmp_path) == expected


@pytest.mark.parametrize(("seconds", "notified"), [(5, []), (-5, []), (6, ["clock_differs"]), (-6, ["clock_differs"])])
def test_clocks_may_differ_by_five_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: int, notified: list[str]
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100 * GB, 50 * GB, 50 * GB))
    assert list(found(tmp_path, timedelta(seconds=seconds))) == notified
