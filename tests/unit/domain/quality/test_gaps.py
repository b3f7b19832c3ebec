"""How the list of gaps is kept, and the map of what is there."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from trading_platform.domain.charts import heat_map
from trading_platform.domain.quality.gaps import CONFIRM_AFTER, SETTLE, Gap, GapKind, GapState, reconcile
from trading_platform.domain.time import Timeframe, Window

NOW = datetime(2024, 3, 4, tzinfo=UTC)
START = NOW - timedelta(days=1)
MINUTE = timedelta(minutes=1)


def window(first: int, end: int) -> Window:
    return Window(START + first * MINUTE, START + end * MINUTE)


def gap(first: int, end: int, kind: GapKind = GapKind.MISSING, attempts: int = 2) -> Gap:
    due = NOW + timedelta(hours=1)
    span = window(first, end)
    return Gap(
        7 + first, "ohlcv_1m", "X", Timeframe.M1, span, kind, GapState.OPEN, attempts, START, START, due, "away", None
    )


def disjoint(numbers: set[int]) -> list[Window]:
    return Window.merge(window(number, number + 1) for number in numbers)


sets = st.sets(st.integers(0, 30))


@given(sets, sets, sets)
def test_the_list_is_what_is_found_and_old_parts_keep_their_attempts(
    known: set[int], missing: set[int], suspect: set[int]
) -> None:
    suspect -= missing
    listed = [gap(int((each.start - START) / MINUTE), int((each.end - START) / MINUTE)) for each in disjoint(known)]
    found = [(each, GapKind.MISSING) for each in disjoint(missing)]
    found += [(each, GapKind.PENDING_CONFIRMATION) for each in disjoint(suspect)]
    done = reconcile("ohlcv_1m", "X", Timeframe.M1, listed, found, NOW)
    after = [*done.kept, *done.new]
    for number in range(31):
        timestamp = START + number * MINUTE
        about = [each for each in after if timestamp in each.window]
        assert len(about) == (number in missing or number in suspect)
        if about and number in missing:
            assert about[0].kind is GapKind.MISSING
            assert about[0].attempts == (2 if number in known else 0)
            assert about[0].next_attempt_at == (listed[0].next_attempt_at if number in known else NOW + SETTLE)
        elif about:
            assert (about[0].kind, about[0].attempts) == (GapKind.PENDING_CONFIRMATION, 0)
            assert about[0].next_attempt_at == NOW + CONFIRM_AFTER
    assert set(done.gone) | set(done.kept) == set(listed)
    assert all(each.id == 0 for each in done.new)


def test_nothing_found_again_changes_nothing() -> None:
    listed = [
        gap(0, 5),
        gap(9, 12, GapKind.PENDING_CONFIRMATION),
        replace(gap(20, 25, GapKind.MISSING_OR_MODIFIED), attempts=5),
    ]
    found = [(each.window, each.kind) for each in listed]
    done = reconcile("ohlcv_1m", "X", Timeframe.M1, listed, found, NOW)
    assert (done.gone, done.new, done.kept) == ((), (), tuple(listed))


def test_what_vanished_is_called_so_until_it_is_back() -> None:
    listed = [gap(0, 5, GapKind.MISSING_OR_MODIFIED)]
    done = reconcile("ohlcv_1m", "X", Timeframe.M1, listed, [(window(0, 5), GapKind.MISSING)], NOW)
    assert done.kept == tuple(listed)


def test_the_map_shows_the_worst_rows_and_the_last_columns() -> None:
    months = [f"2024-{number:02}" for number in range(1, 7)]
    shares = {"FULL": dict.fromkeys(months, 1.0), "HALF": {"2024-01": 0.25, "2024-06": 0.9999}, "NEW": {"2024-06": 1.0}}
    lines = heat_map(shares, columns=2, rows=2).splitlines()
    assert lines[0] == "| | to 2024-04 | 2024-05 | 2024-06 |"
    assert lines[2] == "| FULL | 100 | 100 | 100 |"
    assert lines[3] == "| HALF | ▓ 25 | · | ▒ 99.9 |"
    assert lines[-1] == "1 more rows have no lower share than these."
    assert heat_map({}) == "nothing to draw"
