"""Partition keys, and the ranges and rectangles that hold exactly the wanted ones."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from dagster import MultiPartitionKey
from hypothesis import given
from hypothesis import strategies as st

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.time import (
    DAILY_START,
    INTRADAY_START,
    Timeframe,
    Window,
    month_window,
    partition_windows,
    year_window,
)
from trading_platform.partitions import (
    daily,
    first_window,
    intraday,
    months,
    partition_key,
    partitions_of,
    ranges_of,
    time_key,
    window_of,
    work_of,
    years,
)

SYMBOLS = ["AAPL", "BRK.B", "BTCUSD", "EURUSD", "GOOG", "SPY"]


def partition(timeframe: Timeframe, number: int) -> Window:
    """The partition that lies so many after the first."""
    if timeframe.is_intraday:
        return month_window(datetime(2020 + number // 12, number % 12 + 1, 1, tzinfo=UTC))
    return year_window(datetime(2000 + number, 1, 1, tzinfo=UTC))


wanted = st.dictionaries(
    st.sampled_from(SYMBOLS), st.lists(st.integers(0, 30), min_size=1, max_size=12, unique=True), max_size=6
)
timeframes = st.sampled_from(Timeframe)


@given(timeframes, st.integers(0, 200))
def test_a_partition_s_name_leads_back_to_it(timeframe: Timeframe, number: int) -> None:
    window = partition(timeframe, number)
    assert window_of(timeframe, time_key(timeframe, window)) == window


@given(timeframes, st.sampled_from(SYMBOLS), st.integers(0, 60))
def test_keys_put_the_symbol_first_and_dagster_agrees(timeframe: Timeframe, symbol: str, number: int) -> None:
    window = partition(timeframe, number)
    key = partition_key(symbol, timeframe, window)
    assert str(key) == f"{symbol}|{time_key(timeframe, window)}"
    assert dict(key.keys_by_dimension) == {"symbol": symbol, "time": time_key(timeframe, window)}
    assert partitions_of(timeframe).get_partition_key_from_str(str(key)) == key


def test_dagster_s_time_partitions_are_ours() -> None:
    now = datetime(2024, 5, 17, tzinfo=UTC)
    assert months.get_partition_keys(now) == [
        time_key(Timeframe.M1, window) for window in partition_windows(Timeframe.M1, Window(INTRADAY_START, now))
    ]
    assert years.get_partition_keys(now) == [
        time_key(Timeframe.D1, window) for window in partition_windows(Timeframe.D1, Window(DAILY_START, now))
    ]
    assert months.get_partition_keys(now)[-1] == "2024-05"
    assert years.get_partition_keys(now)[-1] == "2024"


def test_each_timeframe_has_its_slices() -> None:
    assert [partitions_of(timeframe) for timeframe in Timeframe] == [intraday, intraday, intraday, daily]
    assert first_window(Timeframe.D1).start == DAILY_START
    assert first_window(Timeframe.M5).start == INTRADAY_START


@pytest.mark.parametrize(("timeframe", "key"), [("1d", "2024-01"), ("1m", "2024"), ("1m", "2024-13"), ("1d", "soon")])
def test_a_wrong_name_is_refused_with_the_right_form(timeframe: str, key: str) -> None:
    with pytest.raises(InvalidRequest, match="is not a partition of") as caught:
        window_of(Timeframe(timeframe), key)
    assert caught.value.expected == ("2024" if timeframe == "1d" else "2024-01")


@given(timeframes, wanted)
def test_work_is_each_key_once_in_rectangles(timeframe: Timeframe, numbers: dict[str, list[int]]) -> None:
    keys = {
        str(partition_key(symbol, timeframe, partition(timeframe, number)))
        for symbol, chosen in numbers.items()
        for number in chosen
    }
    work = work_of(timeframe, sorted(keys))
    done = [
        str(partition_key(symbol, timeframe, window))
        for symbols, windows in work
        for symbol in symbols
        for window in windows
    ]
    assert sorted(done) == sorted(keys)
    assert all(windows == sorted(windows) for _, windows in work)
    assert len(work) == len({tuple(sorted(chosen)) for chosen in numbers.values()})


@given(timeframes, wanted, st.permutations(SYMBOLS))
def test_ranges_span_the_wanted_partitions_and_no_other(
    timeframe: Timeframe, numbers: dict[str, list[int]], known: list[str]
) -> None:
    ranges = ranges_of(
        known,
        {symbol: [partition(timeframe, number) for number in chosen] for symbol, chosen in numbers.items()},
        timeframe,
    )
    spanned = [
        (symbol, window)
        for first, last in ranges
        for symbol in known[position(known, first) : position(known, last) + 1]
        for window in partition_windows(
            timeframe, Window(start_of(timeframe, first), window_of(timeframe, time_of(last)).end)
        )
    ]
    expected = {(symbol, partition(timeframe, number)) for symbol, chosen in numbers.items() for number in chosen}
    assert len(spanned) == len(set(spanned))
    assert set(spanned) == expected


def position(known: list[str], key: MultiPartitionKey) -> int:
    return known.index(key.keys_by_dimension["symbol"])


def time_of(key: MultiPartitionKey) -> str:
    return key.keys_by_dimension["time"]


def start_of(timeframe: Timeframe, key: MultiPartitionKey) -> datetime:
    return window_of(timeframe, time_of(key)).start


def test_neighbours_with_the_same_history_are_one_run() -> None:
    years_of_both = [partition(Timeframe.D1, number) for number in range(10)]
    ranges = ranges_of(SYMBOLS, dict.fromkeys(SYMBOLS, years_of_both), Timeframe.D1)
    assert [(str(first), str(last)) for first, last in ranges] == [("AAPL|2000", "SPY|2009")]
