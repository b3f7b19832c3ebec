"""The rules for stored bars; each is a function from an examination to its result.

Rules for single rows are SQL in ``sql/checks/bars__<rule>.sql``; completeness is checked in
:mod:`trading_platform.workflows.quality.verify_completeness`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial

import polars as pl

from trading_platform.domain.market.bars import BAR_SCHEMA, REVIEW_GAP
from trading_platform.domain.market.calendars import last_closed
from trading_platform.stores.market_data.bars import bars_table
from trading_platform.stores.market_data.checks import SAMPLE_ROWS, FailingRows, database_types
from trading_platform.stores.market_data.revisions import RECORDED
from trading_platform.workflows.quality.check_results import (
    Check,
    CheckResult,
    Examination,
    Row,
    Severity,
    finding,
    schema_finding,
)
from trading_platform.workflows.quality.verify_completeness import check_completeness
from trading_platform.workflows.quality.verify_hours import check_hours

_AGAIN = "find out what wrote them, then replace them with `trading-platform backfill --force`"


def rows_of(found: Iterable[pl.DataFrame]) -> list[Row]:
    """The samples of several scopes as rows for display."""
    rows: list[Row] = [
        {"symbol": symbol, "time": time.isoformat(), "detail": detail}
        for frame in found
        for symbol, time, detail in frame.select("symbol", "time", "detail").iter_rows()
    ]
    return rows[:SAMPLE_ROWS]


def bars_in(examination: Examination) -> int:
    """Number of bars in the scopes of an examination; counted once."""
    if "bars" not in examination.kept:
        table = bars_table(examination.timeframe)
        examination.kept["bars"] = sum(examination.live.count(table, scope) for scope in examination.scopes)
    return int(examination.kept["bars"])


def find_in_bars(
    examination: Examination, name: str, parameters: Mapping[str, object] | None = None
) -> tuple[int, list[Row]]:
    """Number of bars that fail a rule, and the first of them."""
    parts = {"table": bars_table(examination.timeframe)}
    found: list[FailingRows] = [
        examination.live.failing_rows(name, scope, parts=parts, parameters=parameters) for scope in examination.scopes
    ]
    return sum(one.count for one in found), rows_of(one.sample for one in found)


def _schema(examination: Examination) -> CheckResult:
    table = bars_table(examination.timeframe)
    return schema_finding(database_types({**BAR_SCHEMA, **RECORDED}), examination.live.columns(table), table)


def _rule(
    examination: Examination,
    *,
    name: str,
    wrong: str,
    parameters: Callable[[Examination], Mapping[str, object]] | None = None,
) -> CheckResult:
    failing_rows, sample = find_in_bars(examination, name, parameters(examination) if parameters else None)
    return finding(
        rows_checked=bars_in(examination),
        failing_rows=failing_rows,
        what="bars",
        wrong=wrong,
        remedy=_AGAIN,
        sample=sample,
    )


def _finality(examination: Examination) -> dict[str, object]:
    """The time before which the bars of each calendar are final."""
    now = examination.clock()
    calendars = sorted({instrument.calendar for instrument in examination.stores.instruments.all().values()})
    final_before: list[datetime] = [last_closed(name, examination.timeframe, now) for name in calendars]
    return {
        "present": now,
        "earliest": min([now, *final_before]),
        "calendars": calendars,
        "final_before": final_before,
    }


def _price_jump_review(examination: Examination) -> CheckResult:
    rows_checked = bars_in(examination)
    unmarked, sample = find_in_bars(examination, "bars__price_jump_unmarked", {"share": REVIEW_GAP})
    marked, marked_sample = find_in_bars(examination, "bars__price_jump_marked", {"share": REVIEW_GAP})
    counts = {"marked for review": marked, "not marked": unmarked}
    if unmarked:
        return finding(
            rows_checked=rows_checked,
            failing_rows=unmarked,
            what="bars",
            wrong="opened more than 10 % from the close before and are not marked for review",
            remedy=_AGAIN,
            sample=sample,
            counts=counts,
        )
    return finding(
        rows_checked=rows_checked,
        failing_rows=marked,
        what="bars",
        wrong="are marked for review: they opened more than 10 % from the close before, and no split explains it",
        remedy="check each: a split is not stored, a price is wrong, or the market moved",
        severity=Severity.WARN,
        sample=marked_sample,
        counts=counts,
    )


def _sources_agree(examination: Examination) -> CheckResult:
    """Whether the versions of bars that a source sent twice, from archive, trades or candles, agree."""
    compared: dict[str, int] = {}
    for scope in examination.scopes:
        for kind, bars in examination.stores.conflicting_versions.compared(examination.timeframe, scope).items():
            compared[kind] = compared.get(kind, 0) + bars
    different, sample = find_in_bars(examination, "bars__sources_agree", {"timeframe": examination.timeframe.value})
    return finding(
        rows_checked=sum(compared.values()),
        failing_rows=different,
        what="bars that were received twice",
        wrong="have conflicting versions from their source",
        remedy="find out which is right; `trading-platform backfill --force` requests them again, by source priority",
        severity=Severity.WARN,
        sample=sample,
        counts={f"compared with {kind}": bars for kind, bars in compared.items()},
    )


BAR_CHECKS: tuple[Check, ...] = (
    Check("schema", "The table has the declared columns and types.", _schema, blocking=True),
    Check(
        "ohlc_consistent",
        "low ≤ open and close ≤ high in every bar.",
        partial(_rule, name="bars__ohlc_consistent", wrong="have an open or a close outside of low to high"),
        blocking=True,
    ),
    Check(
        "positive_prices",
        "Every price is known and above zero, no volume is below zero.",
        partial(
            _rule,
            name="bars__positive_prices",
            wrong="have a price that is missing or not above zero, or a volume below zero",
        ),
        blocking=True,
    ),
    Check(
        "no_future_bar",
        "Every bar is final: its interval, or its session, has ended.",
        partial(_rule, name="bars__no_future_bar", wrong="had not ended yet", parameters=_finality),
        blocking=True,
    ),
    Check(
        "no_duplicate",
        "A symbol has one bar per time.",
        partial(_rule, name="bars__no_duplicate", wrong="times have more than one bar"),
        blocking=True,
    ),
    Check(
        "price_jump_review",
        "Traded bars that opened more than 10 % from the close before are marked for manual review.",
        _price_jump_review,
        blocking=False,
    ),
    Check(
        "completeness",
        "Every bar the calendar expects is stored, confirmed empty, or rejected with a reason.",
        check_completeness,
        blocking=False,
    ),
    Check(
        "in_session",
        "Bars outside the session are trades of extended hours: none repeats a price of closed time, and no other "
        "time zone or calendar fits the hours distinctly better.",
        check_hours,
        blocking=False,
    ),
)
"""All rules for an asset ``ohlcv_*``. A rule blocks if its violation corrupts everything computed from the bars. A
missing bar does not block: it is detected, dependent values are recomputed when it arrives, and one symbol's source
must not hold up all others."""

RECONCILIATION_CHECKS: tuple[Check, ...] = (
    Check(
        "sources_agree",
        "Where a source sent a bar twice (archive, trades, candles), both versions agree.",
        _sources_agree,
        blocking=False,
    ),
)
"""The rules for bars that come from sources; longer ones are rolled up from those."""
