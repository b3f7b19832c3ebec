"""Checks and their results, independent of Dagster and the command line.

The checks are in :mod:`trading_platform.workflows.quality.verify_bars`, ``verify_indicators``,
``verify_actions`` and ``verify_features``; :mod:`trading_platform.workflows.quality.suites.verify` runs them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from trading_platform.domain.time import Clock, Timeframe
from trading_platform.sources.base import BarSource
from trading_platform.stores.market_data.checks import CheckStore, Scope
from trading_platform.stores.stores import Stores

Row = Mapping[str, object]
"""One row of a sample, ready for display."""


class Severity(StrEnum):
    """Severity of a failed check: only an error blocks what follows."""

    ERROR = "error"
    WARN = "warn"


class Status(StrEnum):
    """Outcome of a check."""

    PASSED = "passed"
    WARN = "warn"
    FAILED = "failed"
    EMPTY = "nothing stored"


@dataclass(frozen=True)
class CheckResult:
    """Result of one check of one asset.

    Attributes:
        asset: name of the asset.
        check: name of the check.
        passed: whether the rule holds.
        severity: severity if it does not hold.
        description: the result and what to do about it.
        rows_checked: number of rows (or columns, files, expected bars) checked; 0 means that there were none.
        failing_rows: how many of them fail the rule.
        counts: further figures, by name.
        sample: the first failing rows.
    """

    asset: str
    check: str
    passed: bool
    severity: Severity
    description: str
    rows_checked: int
    failing_rows: int
    counts: Mapping[str, int] = field(default_factory=dict)
    sample: tuple[Row, ...] = ()

    @property
    def status(self) -> Status:
        """The outcome; a rule for which there were no rows has not passed."""
        if not self.passed:
            return Status.FAILED if self.severity is Severity.ERROR else Status.WARN
        return Status.PASSED if self.rows_checked else Status.EMPTY

    def as_dict(self) -> dict[str, object]:
        """For ``--json``."""
        return {
            "asset": self.asset,
            "check": self.check,
            "status": self.status.value,
            "rows_checked": self.rows_checked,
            "failing_rows": self.failing_rows,
            "counts": dict(self.counts),
            "sample": [dict(row) for row in self.sample],
            "description": self.description,
        }


@dataclass(frozen=True)
class Examination:
    """One asset under examination.

    Attributes:
        asset: its name.
        timeframe: of its rows.
        stores: the stores to read.
        sources: the configured sources.
        clock: determines which bars can exist.
        scopes: the rows to examine; disjoint.
        kept: cache shared by the checks, so that nothing is read twice.
    """

    asset: str
    timeframe: Timeframe
    stores: Stores
    sources: Mapping[str, BarSource]
    clock: Clock
    scopes: Sequence[Scope]
    kept: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def live(self) -> CheckStore:
        """Queries of the live tables."""
        return CheckStore(self.stores.database)


@dataclass(frozen=True)
class Check:
    """One rule of an asset.

    Attributes:
        name: of the rule.
        description: the rule, as text.
        run: evaluates the rule; :func:`judge` fills in the name of the check.
        blocking: whether a violation would corrupt what is computed from the asset.
    """

    name: str
    description: str
    run: Callable[[Examination], CheckResult]
    blocking: bool


def judge(check: Check, examination: Examination) -> CheckResult:
    """The result of one check."""
    return replace(check.run(examination), asset=examination.asset, check=check.name)


def finding(
    *,
    rows_checked: int,
    failing_rows: int,
    what: str,
    wrong: str,
    remedy: str,
    severity: Severity = Severity.ERROR,
    sample: Sequence[Row] = (),
    counts: Mapping[str, int] | None = None,
) -> CheckResult:
    """Builds a result with its description; it passes if there are no failing rows.

    Args:
        rows_checked: number of rows checked.
        failing_rows: how many of them fail.
        what: name of the rows, in the plural.
        wrong: what is wrong with the failing rows, as the predicate after their number.
        remedy: what to do about them.
        severity: severity of a failure.
        sample: the first failing rows.
        counts: further figures.
    """
    if failing_rows:
        description = f"{failing_rows:,} of {rows_checked:,} {what} {wrong}. To do: {remedy}."
    elif rows_checked:
        description = f"All {rows_checked:,} {what} are in order."
    else:
        description = f"There are no {what} in this scope, so nothing was checked."
    return CheckResult(
        asset="",
        check="",
        passed=not failing_rows,
        severity=severity,
        description=description,
        rows_checked=rows_checked,
        failing_rows=failing_rows,
        counts=counts or {},
        sample=tuple(sample),
    )


def schema_finding(expected: Mapping[str, str], actual: Mapping[str, str], where: str) -> CheckResult:
    """Compares declared columns and types with the actual ones.

    The sample has every column, because only the complete list distinguishes a renamed column from a missing one.
    """
    names = [*expected, *(name for name in actual if name not in expected)]
    rows: list[Row] = [
        {"column": name, "expected": expected.get(name, "absent"), "actual": actual.get(name, "absent")}
        for name in names
    ]
    wrong = [str(row["column"]) for row in rows if row["expected"] != row["actual"]]
    return finding(
        rows_checked=len(names),
        failing_rows=len(wrong),
        what=f"columns of {where}",
        wrong=f"are not as declared ({', '.join(wrong[:10])})",
        remedy="undo manual changes; `trading-platform db upgrade` runs the migrations that are due",
        sample=rows,
    )
