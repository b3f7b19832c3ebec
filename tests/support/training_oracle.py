"""What a training set must be, computed slowly and obviously; and random feature files to compute it from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import strategies as st

from trading_platform.domain.features.feature_set import KEYS

FIRST_DAY = datetime(2023, 11, 20, tzinfo=UTC)
DAYS = 120
FEATURES = {"returns_1d": 1, "returns_5d": 5, "volume_ratio_20d": 19, "news_sentiment_24h": 0, "social_volume_7d": 0}
"""Rows before the first value, by the formulas in docs/features.md."""
AWAITING = ("social_volume_7d",)
STORED_NULL = {"news_sentiment_24h": "no_news"}
SYMBOLS = ("AAPL", "BRK.B", "SPY")


@dataclass(frozen=True)
class Row:
    """A stored row; a feature whose file has no column of it is left out."""

    time: datetime
    available_at: datetime
    values: dict[str, float | None]


@dataclass(frozen=True)
class History:
    """The stored rows of each symbol, in order."""

    rows: dict[str, list[Row]] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Writes the files as docs/features.md describes them."""
        for symbol, rows in self.rows.items():
            months: dict[str, list[Row]] = {}
            for row in rows:
                months.setdefault(f"{row.time:%Y-%m}", []).append(row)
            for month, own in months.items():
                file = folder / f"symbol={symbol}" / month / "features.parquet"
                file.parent.mkdir(parents=True)
                schema = {**KEYS, **dict.fromkeys(own[0].values, pl.Float64())}
                cells = [
                    {"time": each.time, "symbol": symbol, "available_at": each.available_at, **each.values}
                    for each in own
                ]
                pl.DataFrame(cells, schema=schema).write_parquet(file)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Bars with gaps, rows that become available together, months without a column, values that are NULL."""
    found = History()
    for symbol in draw(st.sets(st.sampled_from(SYMBOLS))):
        closes = draw(st.sampled_from([timedelta(0), timedelta(hours=6), timedelta(hours=21), timedelta(hours=33)]))
        waits_for_monday = draw(st.booleans())
        columns = {month: draw(st.sets(st.sampled_from(sorted(FEATURES)))) for month in (11, 12, 1, 2, 3)}
        rows = []
        for number in sorted(draw(st.sets(st.integers(0, DAYS - 1), max_size=40))):
            time = FIRST_DAY + timedelta(days=number)
            weekend = max(0, time.weekday() - 4) if waits_for_monday else 0
            available = time + closes + timedelta(days=3 - weekend if weekend else 0)
            values = {
                name: None if name in AWAITING or draw(st.integers(0, 3)) == 0 else float(number)
                for name in sorted(columns[time.month])
            }
            rows.append(Row(time, available, values))
        if rows:
            found.rows[symbol] = rows
    return found


@st.composite
def spines(draw: st.DrawFn, history: History) -> pl.DataFrame:
    """Symbols and times in any order, some of them repeated, many at the very time at which a row is available."""
    edges = sorted({row.available_at for rows in history.rows.values() for row in rows})
    edge = st.builds(
        lambda at, by: at + timedelta(microseconds=by), st.sampled_from(edges or [FIRST_DAY]), st.integers(-1, 1)
    )
    anywhere = st.integers(-10 * 86_400, (DAYS + 60) * 86_400).map(lambda by: FIRST_DAY + timedelta(seconds=by))
    cells = draw(st.lists(st.tuples(st.sampled_from(SYMBOLS), edge | anywhere), max_size=30))
    cells += draw(st.lists(st.sampled_from(cells), max_size=5)) if cells else []
    return pl.DataFrame(
        {
            "weight": range(len(cells)),
            "time": [time for _, time in cells],
            "symbol": [symbol for symbol, _ in cells],
        },
        schema={"weight": pl.Int64, "time": pl.Datetime("us", "UTC"), "symbol": pl.String},
    )


def expected(
    history: History, spine: pl.DataFrame, names: Sequence[str], tolerance: Mapping[str, timedelta]
) -> tuple[list[dict[str, Any]], list[dict[str, str | None]]]:
    """The values of each row of a spine, and why they are NULL."""
    values, reasons = [], []
    for row in spine.iter_rows(named=True):
        stored = history.rows.get(row["symbol"], [])
        known = [each for each in stored if each.available_at <= row["time"]]
        last = max(known, key=lambda each: (each.available_at, each.time)) if known else None
        found = {name: _value(last, row["time"], name, tolerance) for name in names}
        values.append(found)
        reasons.append({name: _reason(name, stored, last, row["time"], tolerance) for name in names})
    return values, reasons


def _too_old(row: Row, time: datetime, name: str, tolerance: Mapping[str, timedelta]) -> bool:
    return name in tolerance and time - row.available_at > tolerance[name]


def _value(row: Row | None, time: datetime, name: str, tolerance: Mapping[str, timedelta]) -> float | None:
    return None if row is None or _too_old(row, time, name, tolerance) else row.values.get(name)


def _reason(
    name: str, stored: Sequence[Row], last: Row | None, time: datetime, tolerance: Mapping[str, timedelta]
) -> str | None:
    if name in AWAITING:
        return "no_source"
    if last is None:
        return "no_row_yet" if stored else "not_computed"
    if name not in last.values:
        return "not_computed"
    if _too_old(last, time, name, tolerance):
        return "too_old"
    if last.values.get(name) is not None:
        return None
    before = [each for each in stored if each.time <= last.time]
    warming = len(before) <= FEATURES[name] and all(each.values.get(name) is None for each in before)
    return "warm_up" if warming else STORED_NULL.get(name, "undefined")
