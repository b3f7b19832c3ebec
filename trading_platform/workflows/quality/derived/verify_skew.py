"""The rule that features are the same wherever they are read: in the files, in Redis, and computed again from the bars.

It examines the newest row of each symbol. A difference between what a model was trained on and what it is given live is
called skew. ``verify_features`` has the other rules for features.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import polars as pl

from trading_platform.domain.features.latest import LatestRow, row_of
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Timeframe, Window, parse_timestamp
from trading_platform.stores.market_data.checks import SAMPLE_ROWS
from trading_platform.workflows.derived.build_features import load_days
from trading_platform.workflows.derived.build_hourly_features import load_hours
from trading_platform.workflows.derived.publish_latest import latest_rows
from trading_platform.workflows.quality.check_results import Check, CheckResult, Examination, Row, finding

TOLERANCE = 1e-9
"""Relative difference within which a computation from another beginning agrees (docs/features.md)."""

_LOADERS = {Timeframe.D1: load_days, Timeframe.H1: load_hours}
_FROM, _TO = parse_timestamp("1970-01-01"), parse_timestamp("2200-01-01")


def _no_skew(examination: Examination) -> CheckResult:
    stores, now = examination.stores, examination.clock()
    universe = stores.instruments.all()
    newest = _newest(examination, universe)
    wrong = [*_recomputed(examination, universe, newest, now)]
    present = {
        symbol: row
        for symbol, row in latest_rows(stores, universe, list(newest), now).items()
        if row.timeframe is examination.timeframe
    }
    redis = stores.latest_features.read(list(present)) if stores.latest_features is not None and present else None
    if redis is not None:
        wrong += [difference for symbol, row in present.items() for difference in _in_redis(row, redis.get(symbol))]
    return finding(
        rows_checked=len(newest),
        failing_rows=len({row["symbol"] for row in wrong}),
        what="newest rows of features",
        wrong="differ between the files, Redis and a computation from the stored bars",
        remedy="`trading-platform features backfill` computes what is stale, and with --force everything; it also "
        "writes Redis again",
        sample=wrong[:SAMPLE_ROWS],
        counts={"computed again": len(newest), "compared with Redis": 0 if redis is None else len(present)},
    )


def _newest(examination: Examination, universe: Mapping[str, Instrument]) -> dict[str, LatestRow]:
    """The newest row in the files of each symbol in scope."""
    store = examination.stores.features_of(examination.timeframe)
    found: dict[str, LatestRow] = {}
    for scope in examination.scopes:
        symbols = [name for name in (scope.symbols or store.symbols()) if name in universe]
        window = scope.window or Window(_FROM, _TO)
        for symbol in symbols:
            months = [parse_timestamp(f"{month}-01") for month in store.months(symbol)]
            inside = [month for month in months if window.start < month + timedelta(days=32) and month < window.end]
            if not inside:
                continue
            rows = store.read([symbol], Window(max(inside[-1], window.start), window.end))
            if not rows.is_empty():
                found[symbol] = row_of(examination.timeframe, rows.row(-1, named=True))
    return found


def _recomputed(
    examination: Examination, universe: Mapping[str, Instrument], newest: Mapping[str, LatestRow], now: datetime
) -> Iterator[Row]:
    """What differs from a computation of the row from the stored bars."""
    by_time: dict[datetime, list[str]] = {}
    for symbol, row in newest.items():
        by_time.setdefault(row.time, []).append(symbol)
    for time, symbols in by_time.items():
        window = Window(time, time + examination.timeframe.duration)
        compute = _LOADERS[examination.timeframe](examination.stores, universe, symbols, window, now)
        rows = compute(symbols, None).filter(pl.col("time") == time)
        again = {each["symbol"]: row_of(examination.timeframe, each) for each in rows.iter_rows(named=True)}
        for symbol in symbols:
            yield from _differences(newest[symbol], again.get(symbol), "computed again", TOLERANCE, rows.columns)


def _in_redis(row: LatestRow, cached: LatestRow | None) -> Iterator[Row]:
    """What differs in Redis, where a row has the numbers of the file to the bit."""
    yield from _differences(row, cached, "Redis", 0.0, None)


def _differences(
    row: LatestRow, other: LatestRow | None, where: str, tolerance: float, columns: Sequence[str] | None
) -> Iterator[Row]:
    said = {"symbol": row.symbol, "time": row.time.isoformat(), "compared with": where}
    if other is None:
        yield {**said, "difference": "the row is absent there"}
        return
    if (row.time, row.available_at) != (other.time, other.available_at):
        yield {**said, "difference": f"the row of {other.time.isoformat()}, available {other.available_at.isoformat()}"}
        return
    for name in dict.fromkeys([*row.values, *other.values]):
        mine, theirs = row.values.get(name), other.values.get(name)
        if columns is not None and name not in columns:
            continue  # of a definition that is not known here
        if mine is None or theirs is None or not math.isclose(mine, theirs, rel_tol=tolerance, abs_tol=tolerance):
            yield {**said, "difference": f"{name}: {mine} in the file, {theirs} there"}


SKEW_CHECKS: tuple[Check, ...] = (
    Check(
        "no_skew",
        "The newest features of each symbol are the same in the files, in Redis, and computed again from the bars.",
        _no_skew,
        blocking=False,
    ),
)
"""The rule for the assets ``features`` and ``features_1h``, which runs each night."""
