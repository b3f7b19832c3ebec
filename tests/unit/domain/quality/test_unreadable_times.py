"""Rows with an unreadable time get the one that the rows beside them leave, and only if it is certain."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from trading_platform.domain.market.bars import TIME
from trading_platform.domain.quality.rules import REJECTED_SCHEMA
from trading_platform.domain.quality.unreadable_times import place_unreadable
from trading_platform.domain.time import Timeframe


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("calendar", "timeframe", "before", "after", "count", "placed"),
    [
        ("XNYS", Timeframe.D1, "2026-11-25", "2026-11-30", 1, ["2026-11-27"]),  # over Thanksgiving and a weekend
        ("XNYS", Timeframe.D1, "2026-11-30", "2026-11-24", 2, ["2026-11-27", "2026-11-25"]),  # the newest first
        ("24/7", Timeframe.H1, "2026-11-25 22:00", "2026-11-26 01:00", 2, ["2026-11-25 23:00", "2026-11-26 00:00"]),
        ("XTKS", Timeframe.M1, "2026-11-17 02:28", "2026-11-17 03:30", 1, ["2026-11-17 02:29"]),  # before lunch
        ("XNYS", Timeframe.D1, "2026-11-25", "2026-11-27", 1, []),  # no session between
        ("XNYS", Timeframe.D1, "2026-11-09", "2026-11-12", 1, []),  # two sessions
        ("XNYS", Timeframe.D1, None, "2026-11-12", 1, []),
    ],
)
def test_a_time_is_given_only_if_it_is_certain(
    calendar: str, timeframe: Timeframe, before: str | None, after: str, count: int, placed: list[str]
) -> None:
    lines = list(range(5, 5 + count))
    rejected = pl.DataFrame(
        [(line, None, "unreadable_time", "? is not a time", "?,1,1,1,1", 1, None) for line in lines],
        schema=REJECTED_SCHEMA,
        orient="row",
    )
    neighbours = pl.DataFrame(
        [(line, at(before) if before else None, at(after)) for line in lines],
        schema={"line": pl.Int64, "before": TIME, "after": TIME},
        orient="row",
    )
    found = place_unreadable(rejected, neighbours, calendar, timeframe)
    assert found["time"].drop_nulls().to_list() == [at(text) for text in placed]
    assert found["line"].to_list() == lines
    assert found.schema == rejected.schema
    assert found["detail"].str.contains("by the rows beside it").sum() == len(placed)
