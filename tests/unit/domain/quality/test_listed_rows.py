"""Of many rejected rows the first are listed, and all are counted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_platform.domain.quality.listed_rows import ListedRows
from trading_platform.domain.quality.rules import REJECTED_SCHEMA


def rejected(reasons: list[str], first_line: int = 1) -> pl.DataFrame:
    rows = [
        {"line": line, "time": None, "reason": reason, "detail": "why", "record": f"row {line}", "row_count": 1}
        for line, reason in enumerate(reasons, first_line)
    ]
    return pl.DataFrame(rows, schema=REJECTED_SCHEMA)


def test_few_rows_are_listed_as_they_are() -> None:
    rows = rejected(["a", "b"])
    listed = ListedRows(2)
    assert listed.take(rows).equals(rows)
    assert listed.rest().is_empty()
    assert ListedRows(2).all_of(rows).equals(rows)


def test_the_others_are_counted_by_reason_with_the_line_of_the_first() -> None:
    listed = ListedRows(2)
    assert listed.take(rejected(["a", "b", "b", "a"]))["line"].to_list() == [1, 2]
    assert listed.take(rejected(["c", "a"], 5)).is_empty()
    rest = listed.rest()
    assert rest.select("reason", "line", "row_count").rows() == [("b", 3, 1), ("a", 4, 2), ("c", 5, 1)]
    assert rest["record"][1] == "2 further rows from there on, not listed: at most 2 of a file are"
    assert rest.schema == pl.Schema(REJECTED_SCHEMA)
    assert listed.rest().is_empty(), "they are counted once"


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=8), max_size=6), st.integers(0, 12))
def test_no_row_is_lost_or_counted_twice(parts: list[list[str]], most: int) -> None:
    listed, line, found = ListedRows(most), 1, []
    for part in parts:
        found.append(listed.take(rejected(part, line)))
        line += len(part)
    total = pl.concat([*found, listed.rest()]) if found else rejected([])
    assert total["row_count"].sum() == line - 1
    assert sum(frame.height for frame in found) == min(most, line - 1)
    counted = dict(total.group_by("reason").agg(pl.col("row_count").sum()).iter_rows())
    assert counted == {reason: sum(part.count(reason) for part in parts) for reason in counted}


def test_a_rejected_file_counts_with_all_of_its_rows() -> None:
    whole = rejected(["a"]).with_columns(row_count=pl.lit(500, dtype=pl.Int64))
    assert ListedRows(0).all_of(whole)["row_count"].to_list() == [500]
    assert (
        ListedRows(0).all_of(whole)["detail"][0]
        == "500 further rows from there on, not listed: at most 0 of a file are"
    )


@pytest.mark.parametrize("calls", [1, 3])
def test_rows_of_each_call_are_apart(calls: int) -> None:
    listed = ListedRows(1)
    found = [listed.all_of(rejected(["a", "a"], 10 * number)) for number in range(calls)]
    assert [frame["line"].to_list() for frame in found] == [[0, 1], [10], [20]][:calls]


MINUTE = timedelta(minutes=1)
START = datetime(2024, 1, 2, tzinfo=UTC)


def at(minutes: list[int | None]) -> pl.DataFrame:
    times = [None if minute is None else START + minute * MINUTE for minute in minutes]
    return rejected(["a"] * len(minutes)).with_columns(time=pl.Series(times, dtype=REJECTED_SCHEMA["time"]))


def test_bars_one_after_the_other_are_one_row_without_a_record() -> None:
    rest = ListedRows(2).all_of(at([20, 0, 1, 2, 3, 10, 11]), MINUTE)[2:]
    assert rest.select("line", "time", "row_count", "record").rows() == [
        (3, START + MINUTE, 3, None),
        (6, START + 10 * MINUTE, 2, None),
    ]


@given(st.lists(st.one_of(st.none(), st.integers(0, 30)), max_size=40), st.integers(0, 10))
def test_the_times_of_all_rows_are_kept(minutes: list[int | None], most: int) -> None:
    rows = at(minutes)
    listed, rest = ListedRows(most), ListedRows(most)
    assert listed.all_of(rows, MINUTE)["row_count"].sum() == len(minutes)
    rest.take(rows)
    runs = rest.rest(MINUTE).filter(pl.col("record").is_null())
    found = [time + n * MINUTE for time, number in runs.select("time", "row_count").iter_rows() for n in range(number)]
    others = {START + minute * MINUTE for minute in minutes[most:] if minute is not None}
    assert len(found) == len(set(found))
    assert set(found) <= others
    if runs.height < most:
        assert set(found) == others
