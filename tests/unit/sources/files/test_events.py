"""Files of ticks as events: the file's order, both sides of a quote, and a place to go on from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from properties import some_usual

from trading_platform.domain.market.live.events import FeedUp, Quote, Trade
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.sources.files.content.contents import open_contents
from trading_platform.sources.files.content.options import FileRejected, ImportOptions
from trading_platform.sources.files.events import TickFile, read_ticks

NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)


def read(path: Path) -> TickFile:
    (content,) = open_contents(path)
    return read_ticks(content, ImportOptions(symbol="XY"), zone_of=lambda _: "America/New_York")


def written(folder: Path, *lines: str) -> TickFile:
    path = folder / "ticks.csv"
    path.write_text("\n".join(lines) + "\n")
    return read(path)


def test_quotes_say_the_sides_that_the_file_says(tmp_path: Path) -> None:
    ticks = written(
        tmp_path,
        "time,bid,ask",
        "2024-05-06T12:00:07.5Z,1.10,",
        "2024-05-06T12:00:06Z,,1.2",
        "2024-05-06T12:01:00Z,3,4",
    )
    assert list(ticks.events()) == [
        (0, FeedUp(NOON, frozenset({"XY"}))),
        (1, Quote("XY", NOON + timedelta(seconds=7.5), Decimal("1.10"), None)),
        (2, Quote("XY", NOON + timedelta(seconds=6), None, Decimal("1.2"))),
        (3, Quote("XY", NOON + timedelta(minutes=1), Decimal(3), Decimal(4))),
    ]
    assert ticks.length == 4


def test_trades_without_their_number(tmp_path: Path) -> None:
    ticks = written(tmp_path, "time,price,quantity", "2024-05-06T12:00:07Z,1.5,2", "2024-05-06T12:00:07Z,1.5,2")
    twice = Trade("XY", NOON + timedelta(seconds=7), Decimal("1.5"), Decimal(2))
    assert [event for _, event in ticks.events(0)] == [twice, twice]


def test_rows_that_cannot_be_read_are_refused_and_all_are_counted(tmp_path: Path) -> None:
    ticks = written(
        tmp_path,
        "time,price,quantity",
        "2024-05-06T12:00:07Z,1.5,2",
        "soon,1.5,2",
        "2024-05-06T12:00:08Z,dear,2",
        "2024-05-06T12:00:09Z,1.5,",
        "2024-05-06T12:00:10Z,1.5,2",
    )
    assert ticks.rejected.select("line", "reason").rows() == [
        (3, Reason.UNREADABLE_TIME.value),
        (4, Reason.UNREADABLE_NUMBER.value),
        (5, Reason.MISSING_VALUE.value),
    ]
    assert ticks.rejected["record"][1] == "2024-05-06T12:00:08Z,dear,2"
    assert ticks.ticks.height + ticks.rejected.height == ticks.rows == 5


def test_a_file_without_a_readable_row_says_nothing(tmp_path: Path) -> None:
    ticks = written(tmp_path, "time,bid,ask", "2024-05-06T12:00:07Z,,", "2024-05-06T12:00:08Z,,")
    assert list(ticks.events()) == []
    with pytest.raises(FileRejected):
        written(tmp_path, "just", "words")


@pytest.mark.parametrize("after", some_usual([-1, 0, 1, 49_999, 50_000, 120_545, 120_546], usual=3))
def test_events_go_on_after_any_of_them(test_data: Path, after: int) -> None:
    ticks = read(test_data / "tick" / "EURUSD_oanda_ticks_2014-05.csv.gz")
    offsets = [offset for offset, _ in ticks.events(after)]
    assert offsets == list(range(after + 1, ticks.length))
    assert ticks.length == 120_547
