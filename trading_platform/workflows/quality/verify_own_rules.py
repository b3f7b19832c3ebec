"""The check ``own_rules``: the rules of a user's own over stored bars, indicators and features.

A rule is evaluated by :mod:`trading_platform.domain.quality.own_rules`; docs/checks.md explains the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import polars as pl

from trading_platform.domain.derived.indicators import INDICATOR_SCHEMA
from trading_platform.domain.market.bars import BAR_SCHEMA
from trading_platform.domain.quality.own_rules import OwnRule
from trading_platform.domain.time import Timeframe, Window, parse_timestamp
from trading_platform.stores.market_data.checks import SAMPLE_ROWS
from trading_platform.stores.own_rules import read_own_rules
from trading_platform.stores.stores import Stores
from trading_platform.workflows.quality.check_results import Check, CheckResult, Examination, Row, Severity, finding

_ALL_TIME = Window(parse_timestamp("1970-01-01"), parse_timestamp("2200-01-01"))
_AT_ONCE = timedelta(days=366)
"""How much of a symbol's intraday rows is read at once; minutes of a year are half a million rows."""


def own_rules(stores: Stores) -> tuple[OwnRule, ...]:
    """The rules of the file that the setting QUALITY_RULES names; none without it.

    Raises:
        ConfigurationError: if the file cannot be read, or a rule in it cannot be evaluated.
    """
    return () if stores.quality_rules is None else read_own_rules(stores.quality_rules, _columns(stores))


def _columns(stores: Stores) -> dict[str, pl.DataFrame]:
    """An empty frame with the columns of each asset that can have rules."""
    bars, indicators = pl.DataFrame(schema=BAR_SCHEMA), pl.DataFrame(schema=INDICATOR_SCHEMA)
    return {
        **{f"ohlcv_{timeframe}": bars for timeframe in Timeframe},
        **{f"indicators_{timeframe}": indicators for timeframe in Timeframe},
        "features": pl.DataFrame(schema=stores.features.schema),
        "features_1h": pl.DataFrame(schema=stores.hourly_features.schema),
    }


def _check(examination: Examination) -> CheckResult:
    rules = [rule for rule in own_rules(examination.stores) if examination.asset in rule.assets]
    checked, failing, sample = 0, dict.fromkeys((rule.name for rule in rules), 0), list[Row]()
    for rows in _rows(examination) if rules else ():
        checked += rows.height
        for rule in rules:
            found = rule.failing(rows)
            failing[rule.name] += found.height
            sample += [_shown(rule, row) for row in found.head(SAMPLE_ROWS - len(sample)).iter_rows(named=True)]
    broken = [rule for rule in rules if failing[rule.name]]
    said = "; ".join(f"{rule.name} ({failing[rule.name]:,}): {rule.why.rstrip('.')}" for rule in broken)
    return finding(
        rows_checked=checked * len(rules),
        failing_rows=sum(failing.values()),
        what="rows, each once for every rule of your own,",
        wrong=f"break it. {said}",
        remedy="look at these rows; the rules are in the file that QUALITY_RULES names",
        severity=Severity.ERROR if any(rule.severity == "error" for rule in broken) else Severity.WARN,
        sample=sample,
        counts=failing,
    )


def _shown(rule: OwnRule, row: dict[str, object]) -> Row:
    named = [name for name in row if name not in ("symbol", "time", "timeframe") and name in rule.holds]
    detail = ", ".join(f"{name} {row[name]}" for name in named)
    return {"symbol": row["symbol"], "time": row["time"].isoformat(), "detail": f"{rule.name}: {detail}"}  # type: ignore[attr-defined]


def _rows(examination: Examination) -> Iterator[pl.DataFrame]:
    """The rows in the scopes, a symbol and at most a year of an intraday timeframe at a time."""
    stores, timeframe = examination.stores, examination.timeframe
    for scope in examination.scopes:
        symbols = sorted(stores.instruments.all()) if scope.symbols is None else scope.symbols
        spans = stores.bars.spans(symbols, timeframe).select("symbol", "first", "last")
        for symbol, first, last in spans.iter_rows():
            for window in _parts(timeframe, scope.window or _ALL_TIME, first, last):
                if examination.asset.startswith("ohlcv_"):
                    yield stores.bars.read([symbol], timeframe, window)
                elif examination.asset.startswith("indicators_"):
                    yield stores.indicators.read([symbol], timeframe, window)
                else:
                    yield stores.features_of(timeframe).read([symbol], window)


def _parts(timeframe: Timeframe, window: Window, first: datetime, last: datetime) -> Iterator[Window]:
    """The parts of a window between a symbol's first and last bar."""
    start, end = max(window.start, first), min(window.end, last + timeframe.duration)
    while start < end:
        stop = min(end, start + _AT_ONCE) if timeframe.is_intraday else end
        yield Window(start, stop)
        start = stop


OWN_RULE_CHECKS: tuple[Check, ...] = (
    Check("own_rules", "The rules in the file that QUALITY_RULES names hold.", _check, blocking=False),
)
"""The check of a user's own rules."""
