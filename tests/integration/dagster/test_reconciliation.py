"""The asset ``reconciliation``: a day's comparison as a partition, whose check says what differs and how bad it is."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from dagster import AssetCheckSeverity, materialize

from trading_platform.assets.reconciliation import _judged, reconciliation
from trading_platform.domain.severity import Severity
from trading_platform.domain.trading.reconciliation import Difference, DifferenceKind
from trading_platform.resources.platform import PlatformContext
from trading_platform.stores.stores import open_stores
from trading_platform.stores.trading.pauses import Pause
from trading_platform.stores.trading.reconciliations import Reconciliation
from trading_platform.workflows.trading.reconcile import Reconciled

AT = datetime(2026, 3, 2, 21, tzinfo=UTC)
PAUSE = Pause(1, AT, "reconciliation kraken", "x", None, 0, None, None, None)


def compared(result: str, severity: Severity | None = None, pause: Pause | None = None) -> Reconciled:
    difference = Difference("position", DifferenceKind.QUANTITY, "SPY", "", "1", "2", severity or Severity.ERROR)
    differences = (difference,) if severity else ()
    reason = "away" if result == "unknown" else None
    return Reconciled(
        Reconciliation(1, "kraken", date(2026, 3, 2), AT, result, 1, 0, reason, differences=differences), pause
    )


@pytest.mark.parametrize(
    ("found", "passed", "severity"),
    [
        ([compared("equal")], True, AssetCheckSeverity.WARN),
        ([compared("equal"), compared("unknown")], False, AssetCheckSeverity.WARN),
        ([compared("different", Severity.WARNING)], False, AssetCheckSeverity.ERROR),
        ([compared("different", Severity.CRITICAL, PAUSE)], False, AssetCheckSeverity.ERROR),
    ],
)
def test_the_check_says_how_bad_it_is(found: list[Reconciled], *, passed: bool, severity: AssetCheckSeverity) -> None:
    result = _judged(found)
    assert (result.passed, result.severity) == (passed, severity)
    assert result.metadata is not None
    assert result.metadata["alert_severity"].value == "none", "the comparison sends its own message"


def test_without_an_account_there_is_nothing_to_compare(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("SETTINGS_FILE", "")
    with open_stores(database_url, tmp_path / "features") as stores:
        platform = PlatformContext(stores, {}, clock=lambda: AT)
        result = materialize([reconciliation], partition_key="2026-03-02", resources={"platform": platform})
    assert result.success
    (made,) = result.asset_materializations_for_node("reconciliation")
    assert made.metadata["page"].value == "No account is configured."
    (check,) = result.get_asset_check_evaluations()
    assert check.passed
