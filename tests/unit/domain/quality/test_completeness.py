"""Accounts against a naive model: sets of minutes, one question a slot."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from trading_platform.domain.market.bars import TIME
from trading_platform.domain.quality.completeness import count_by_partition
from trading_platform.domain.time import Window

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
END = 60

minutes = st.sets(st.integers(0, END - 1))
spans = st.tuples(st.integers(0, END - 1), st.integers(1, 20)).map(lambda pair: (pair[0], min(pair[0] + pair[1], END)))


def window_of(span: tuple[int, int]) -> Window:
    return Window(EPOCH + span[0] * MINUTE, EPOCH + span[1] * MINUTE)


def series_of(numbers: set[int]) -> pl.Series:
    return pl.Series("time", [EPOCH + number * MINUTE for number in sorted(numbers)], dtype=TIME)


def within(given_spans: Sequence[tuple[int, int]]) -> set[int]:
    return {number for first, end in given_spans for number in range(first, end)}


@given(
    slots=minutes,
    stored=minutes,
    rejected=minutes,
    answered=st.lists(spans, max_size=3),
    reachable=st.lists(spans, max_size=2),
    cuts=st.sets(st.integers(1, END - 1), max_size=3),
)
def test_every_slot_is_counted_once_as_what_became_of_it(
    slots: set[int],
    stored: set[int],
    rejected: set[int],
    answered: list[tuple[int, int]],
    reachable: list[tuple[int, int]],
    cuts: set[int],
) -> None:
    bounds = [0, *sorted(cuts), END]
    partitions = list(pairwise(bounds))
    counts = count_by_partition(
        "BTCUSD",
        [window_of(span) for span in partitions],
        slots=series_of(slots),
        stored=series_of(stored),
        rejected=series_of(rejected),
        answered=[window_of(span) for span in answered],
        reachable=[window_of(span) for span in reachable],
    )
    asked = within(answered) | within(reachable)
    for span, counted in zip(partitions, counts, strict=True):
        inside = set(range(*span))
        expected = {slot for slot in slots & inside if slot in asked or slot in stored}
        missing = expected - stored - rejected
        assert counted.window == window_of(span)
        assert counted.expected == len(expected)
        assert counted.stored == len(slots & stored & inside)
        assert counted.out_of_session == len((stored - slots) & inside)
        assert counted.rejected == len((expected - stored) & rejected)
        assert counted.empty == len(missing & within(answered))
        assert counted.missing == len(missing - within(answered))
        assert counted.bars == len(stored & inside)
        assert set(counted.missing_sample) <= {EPOCH + slot * MINUTE for slot in missing - within(answered)}
        assert bool(counted.missing_sample) == bool(counted.missing)
        kept = sorted(stored & inside)
        assert (counted.first, counted.last) == (
            (EPOCH + kept[0] * MINUTE, EPOCH + kept[-1] * MINUTE) if kept else (None, None)
        )


def test_a_market_that_nobody_asked_about_expects_nothing() -> None:
    (counted,) = count_by_partition(
        "BTCUSD",
        [window_of((0, END))],
        slots=series_of(set(range(END))),
        stored=series_of(set()),
        rejected=series_of(set()),
        answered=[],
        reachable=[],
    )
    assert (counted.expected, counted.missing, counted.bars) == (0, 0, 0)
