"""Checks completeness: every expected bar is stored, confirmed empty, or rejected.

The count is that of a backfill's report (:mod:`trading_platform.workflows.bars.count_coverage`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from trading_platform.domain.market.calendars import last_closed
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.quality.completeness import CoverageCount
from trading_platform.domain.time import Timeframe, Window, partition_windows, within
from trading_platform.stores.market_data.checks import SAMPLE_ROWS, Scope
from trading_platform.workflows.bars.count_coverage import count_coverage
from trading_platform.workflows.quality.check_results import CheckResult, Examination, Row, Severity, finding


def counts_of(examination: Examination) -> list[CoverageCount]:
    """The coverage count of each symbol and partition in scope; counted once.

    It covers the span from the first to the last request, coverage or stored bar: time that was never requested is
    left to the backfill and is no error of the stored data.
    """
    if "coverage counts" not in examination.kept:
        examination.kept["coverage counts"] = list(_counts(examination))
    return list(examination.kept["coverage counts"])


def _counts(examination: Examination) -> Iterator[CoverageCount]:
    universe = examination.stores.instruments.all()
    for scope in examination.scopes:
        names = sorted(universe) if scope.symbols is None else [name for name in scope.symbols if name in universe]
        spans = _spans(examination, [universe[name] for name in names], scope)
        yield from count_coverage(
            examination.stores,
            examination.sources,
            [universe[name] for name in spans],
            examination.timeframe,
            {name: _partitions(examination.timeframe, span) for name, span in spans.items()},
            clock=examination.clock,
        )


def check_completeness(examination: Examination) -> CheckResult:
    """The check ``completeness``: an error where bars are missing, a warning where some are empty or rejected."""
    partitions = counts_of(examination)
    expected = sum(count.expected for count in partitions)
    counts = {
        "stored": sum(count.stored for count in partitions),
        "confirmed empty": sum(count.empty for count in partitions),
        "pending_confirmation": sum(count.pending_confirmation for count in partitions),
        "rejected": sum(count.rejected for count in partitions),
        "missing": sum(count.missing for count in partitions),
        "out of session": sum(count.out_of_session for count in partitions),
        "partitions": len(partitions),
    }
    if missing := counts["missing"]:
        return finding(
            rows_checked=expected,
            failing_rows=missing,
            what="expected bars",
            wrong="are neither stored nor confirmed empty nor rejected",
            remedy="`trading-platform backfill` requests them; its report shows why a source does not answer",
            sample=_sample(count for count in partitions if count.missing),
            counts=counts,
        )
    return finding(
        rows_checked=expected,
        failing_rows=counts["confirmed empty"] + counts["pending_confirmation"] + counts["rejected"],
        what="expected bars",
        wrong=f"have no bar: {counts['confirmed empty']:,} confirmed empty, "
        f"{counts['pending_confirmation']:,} pending confirmation, {counts['rejected']:,} rejected",
        remedy="`trading-platform gaps` lists them; rejected rows are in market_data.quarantine with their reasons",
        severity=Severity.WARN,
        sample=_sample(count for count in partitions if count.empty or count.pending_confirmation or count.rejected),
        counts=counts,
    )


def _spans(examination: Examination, instruments: Sequence[Instrument], scope: Scope) -> dict[str, Window]:
    """For each symbol, the closed part of the scope with requests, coverage or stored bars."""
    known = examination.live.recorded_spans([instrument.symbol for instrument in instruments], examination.timeframe)
    now = examination.clock()
    spans = {}
    for instrument in instruments:
        window = known.get(instrument.symbol)
        end = last_closed(instrument.calendar, examination.timeframe, now)
        if window is not None and scope.window is not None:
            window = window.intersect(scope.window)
        if window is not None and window.start < end:
            spans[instrument.symbol] = Window(window.start, min(window.end, end))
    return spans


def _partitions(timeframe: Timeframe, span: Window) -> list[Window]:
    return within(partition_windows(timeframe, span), span)


def _sample(partitions: Iterator[CoverageCount]) -> list[Row]:
    return [
        {
            "symbol": count.symbol,
            "partition": str(count.window),
            "expected": count.expected,
            "stored": count.stored,
            "confirmed empty": count.empty,
            "pending_confirmation": count.pending_confirmation,
            "rejected": count.rejected,
            "missing": count.missing,
            "for example": ", ".join(time.isoformat() for time in count.missing_sample),
        }
        for _, count in zip(range(SAMPLE_ROWS), partitions, strict=False)
    ]
