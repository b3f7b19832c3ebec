"""Checks whether stored bars can be what they claim to be: units, instruments, repeated values.

Each bar alone keeps the rules of :mod:`trading_platform.workflows.quality.verify_bars`; here they are compared with the
bars beside them (:mod:`trading_platform.domain.quality.plausibility`). Hours are checked by
:mod:`trading_platform.workflows.quality.verify_hours`, missing bars by ``verify_completeness``.
"""

from __future__ import annotations

from collections.abc import Iterator

from trading_platform.domain.quality.plausibility.examine import examine_values
from trading_platform.domain.quality.plausibility.findings import Finding
from trading_platform.domain.time import Window
from trading_platform.stores.market_data.checks import SAMPLE_ROWS, Scope
from trading_platform.workflows.quality.check_results import Check, CheckResult, Examination, Row, Severity, finding
from trading_platform.workflows.quality.verify_completeness import counts_of

_NEWEST = 2
"""So many partitions of intraday bars of each symbol are read where everything is checked: a year of minutes of some
hundred symbols takes minutes to read, and what is older was checked when it was new."""


def _plausibility(examination: Examination) -> CheckResult:
    universe, splits = examination.stores.instruments.all(), examination.stores.corporate_actions.splits
    sample: list[Row] = []
    checked = failing = found = 0
    for symbol, window in _windows(examination):
        bars = examination.stores.bars.read([symbol], examination.timeframe, window)
        checked += bars.height
        known = [time for time, _ in splits([symbol]).get(symbol, ())]
        findings = examine_values(bars, universe[symbol].calendar, examination.timeframe, splits=known)
        failing += sum(each.bars for each in findings)
        found += len(findings)
        sample += [_row(symbol, each) for each in findings]
    return finding(
        rows_checked=checked,
        failing_rows=min(failing, checked),
        what="bars",
        wrong="are suspect beside the bars around them",
        remedy="look at each; then `trading-platform backfill --force` requests them again, or import the file again",
        severity=Severity.WARN,
        sample=sample[:SAMPLE_ROWS],
        counts={"findings": found},
    )


def _windows(examination: Examination) -> Iterator[tuple[str, Window]]:
    """For each symbol the time that is read at once."""
    by_symbol: dict[str, list[Window]] = {}
    for partition in counts_of(examination):
        if partition.bars:
            by_symbol.setdefault(partition.symbol, []).append(partition.window)
    everything = examination.scopes == (Scope(),)
    for symbol, windows in by_symbol.items():
        windows.sort(key=lambda window: window.start)
        newest = windows[-_NEWEST:] if everything and examination.timeframe.is_intraday else windows
        yield from ((symbol, window) for window in Window.merge(newest))


def _row(symbol: str, each: Finding) -> Row:
    time = None if each.first is None else each.first.isoformat()
    return {"symbol": symbol, "time": time, "rule": each.rule.value, "detail": each.words}


PLAUSIBILITY_CHECKS: tuple[Check, ...] = (
    Check(
        "plausibility",
        "No bars are of another unit or instrument than those around them, repeat a value for too long, are the copy "
        "of another day, or have swapped columns.",
        _plausibility,
        blocking=False,
    ),
)
"""The rules over the bars of a symbol together; they read the bars, so they run at night."""
