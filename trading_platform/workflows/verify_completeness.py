"""Whether every bar that was to be had is accounted for: stored, proven empty, or refused.

The reckoning is :func:`trading_platform.domain.accounting.account_for`, the one a backfill reports;
here what it needs is read for many symbols at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from trading_platform.domain.accounting import Account, account_for
from trading_platform.domain.calendars import expected_times, last_closed
from trading_platform.domain.instruments import Instrument
from trading_platform.domain.time import Timeframe, Window, partition_windows
from trading_platform.stores.checks import SAMPLE_ROWS, Scope
from trading_platform.workflows.backfill_bars import within
from trading_platform.workflows.check_results import CheckResult, Examination, Row, Severity, finding

BATCH_BARS = 2_000_000
"""Bars whose times are read at once: large enough to keep round trips few, small enough for a laptop's memory."""


def accounts_of(examination: Examination) -> Iterator[Account]:
    """An account for each symbol and partition in scope.

    Judged is from the first to the last moment that anybody ever asked, answered or stored: what
    nobody has asked for yet is the business of a backfill, not an error of what is there.
    """
    universe = examination.stores.instruments.all()
    for scope in examination.scopes:
        names = sorted(universe) if scope.symbols is None else [name for name in scope.symbols if name in universe]
        spans = _spans(examination, [universe[name] for name in names], scope)
        for batch in _batches(spans, examination.timeframe):
            yield from _account(examination, [universe[name] for name in batch], spans)


def check_complete(examination: Examination) -> CheckResult:
    """The check ``complete``: an error where bars are unaccounted for, a warning where some are empty or refused."""
    accounts = list(accounts_of(examination))
    expected = sum(account.expected for account in accounts)
    counts = {
        "stored": sum(account.stored for account in accounts),
        "proven empty": sum(account.empty for account in accounts),
        "refused": sum(account.refused for account in accounts),
        "unaccounted for": sum(account.unaccounted for account in accounts),
        "outside sessions": sum(account.outside for account in accounts),
        "partitions": len(accounts),
    }
    if unaccounted := counts["unaccounted for"]:
        return finding(
            looked_at=expected,
            offenders=unaccounted,
            what="expected bars",
            wrong="are neither stored nor proven empty nor refused",
            remedy="`trading-platform backfill` asks for them; its report says why a source does not answer",
            sample=_sample(account for account in accounts if account.unaccounted),
            counts=counts,
        )
    return finding(
        looked_at=expected,
        offenders=counts["proven empty"] + counts["refused"],
        what="expected bars",
        wrong=f"have no bar: {counts['proven empty']:,} proven empty, {counts['refused']:,} refused",
        remedy="`trading-platform coverage` lists them; refused rows are in market_data.quarantine with their reasons",
        severity=Severity.WARN,
        sample=_sample(account for account in accounts if account.empty or account.refused),
        counts=counts,
    )


def _spans(examination: Examination, instruments: Sequence[Instrument], scope: Scope) -> dict[str, Window]:
    """For each symbol the closed part of the scope about which anything is known."""
    known = examination.live.known_spans([instrument.symbol for instrument in instruments], examination.timeframe)
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


def _batches(spans: dict[str, Window], timeframe: Timeframe) -> Iterator[list[str]]:
    batch: list[str] = []
    bars = 0
    for symbol, window in spans.items():
        length = (window.end - window.start) // timeframe.duration
        if batch and bars + length > BATCH_BARS:
            yield batch
            batch, bars = [], 0
        batch.append(symbol)
        bars += length
    if batch:
        yield batch


def _account(
    examination: Examination, instruments: Sequence[Instrument], spans: dict[str, Window]
) -> Iterator[Account]:
    stores, timeframe = examination.stores, examination.timeframe
    symbols = [instrument.symbol for instrument in instruments]
    whole = Window(min(spans[name].start for name in symbols), max(spans[name].end for name in symbols))
    stored = _times_by_symbol(stores.bars.times(symbols, timeframe, whole))
    refused = _times_by_symbol(stores.quarantine.times(symbols, timeframe, whole))
    answered = examination.live.answered(symbols, timeframe)
    nothing = pl.Series("time", [], dtype=pl.Datetime("us", "UTC"))
    for instrument in instruments:
        symbol, span = instrument.symbol, spans[instrument.symbol]
        source = examination.sources.get(instrument.source)
        reach = source.reach(instrument, timeframe) if source else ()
        yield from account_for(
            symbol,
            [part for window in partition_windows(timeframe, span) if (part := window.intersect(span))],
            slots=expected_times(instrument.calendar, timeframe, span),
            stored=stored.get(symbol, nothing),
            refused=refused.get(symbol, nothing),
            answered=answered.get(symbol, []),
            reachable=within(reach, span),
        )


def _times_by_symbol(times: pl.DataFrame) -> dict[str, pl.Series]:
    return {str(key[0]): part["time"] for key, part in times.partition_by("symbol", as_dict=True).items()}


def _sample(accounts: Iterator[Account]) -> list[Row]:
    return [
        {
            "symbol": account.symbol,
            "partition": str(account.window),
            "expected": account.expected,
            "stored": account.stored,
            "proven empty": account.empty,
            "refused": account.refused,
            "unaccounted for": account.unaccounted,
            "for example": ", ".join(time.isoformat() for time in account.unaccounted_sample),
        }
        for _, account in zip(range(SAMPLE_ROWS), accounts, strict=False)
    ]
