"""Following the cursor: no trade lost, none twice, whatever the pages look like."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_platform.domain.errors import MalformedPayload, SourceError, SourceUnavailable
from trading_platform.sources.kraken.cursor import Ask, FreshTrades, Read, follow_trades
from trading_platform.sources.kraken.parse import TradesResponse, parse_trades

ORIGIN = 1_762_795_433_000_000_000
STEPS = st.sampled_from([0, 0, 0, 1, 100, 10**9])


def exchange(times: list[int], *, includes_since: bool, page: int = 1000) -> Callable[[int], TradesResponse]:
    """Pages of trades at these nanoseconds, as Kraken would cut them."""

    def response(since: int) -> TradesResponse:
        rows = [
            ["1.0", "1.0", Decimal(time).scaleb(-9), "b", "l", "", number]
            for number, time in enumerate(times, start=1)
            if time > since or (includes_since and time == since)
        ][:page]
        last = times[rows[-1][6] - 1] if rows else since
        return parse_trades({"XBTUSD": rows, "last": str(last)})

    return response


def collect(ask: Ask, start: int, end: int, *, page_size: int = 1000) -> pl.DataFrame:
    """All trades from ``start`` until one at or after ``end``, or until there are no more."""
    found = []
    for page in follow_trades(ask, start - 1, page_size=page_size):
        found.append(page.rows)
        if page.is_last or page.rows["nanoseconds"][-1] >= end:
            break
    return pl.concat(found)


def asking(response: Callable[[int], TradesResponse]) -> Callable[[int, Read], FreshTrades]:
    return lambda since, read: read(response(since))


@given(
    steps=st.lists(STEPS, min_size=1, max_size=200) | st.lists(STEPS, min_size=60, max_size=90),
    page=st.integers(min_value=2, max_value=12),
    includes_since=st.booleans(),
    bounds=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_all_trades_of_a_window_come_once_and_in_order(
    *, steps: list[int], page: int, includes_since: bool, bounds: tuple[float, float]
) -> None:
    times, longest, run = [ORIGIN], 1, 1
    for step in steps:
        run = run + 1 if step == 0 else 1
        longest = max(longest, run)
        times.append(times[-1] + step)
    page = max(page, longest + 2)  # as at Kraken, a page holds more than happens at one nanosecond
    start, end = (ORIGIN + int(share * (times[-1] - ORIGIN + 1)) for share in sorted(bounds))
    ask = asking(exchange(times, includes_since=includes_since, page=page))
    rows = collect(ask, start, end, page_size=page)
    got = [number for number, time in rows.select("trade_id", "nanoseconds").iter_rows() if start <= time < end]
    assert got == [number for number, time in enumerate(times, start=1) if start <= time < end]


def test_a_stamp_shared_across_a_page_boundary_loses_nothing() -> None:
    times = [ORIGIN] * 300 + [ORIGIN + 5] * 900 + [ORIGIN + 6] * 900 + [ORIGIN + 7]
    rows = collect(asking(exchange(times, includes_since=False)), ORIGIN, ORIGIN + 10)
    assert rows["trade_id"].to_list() == list(range(1, len(times) + 1))


@pytest.mark.parametrize(("includes_since", "error"), [(True, MalformedPayload), (False, SourceUnavailable)])
def test_more_trades_at_one_stamp_than_a_page_holds_is_an_error_and_no_loop(
    *, includes_since: bool, error: type[SourceError]
) -> None:
    times = [ORIGIN] * 1500 + [ORIGIN + 1]
    with pytest.raises(error):
        collect(asking(exchange(times, includes_since=includes_since)), ORIGIN, ORIGIN + 10)


@pytest.mark.parametrize("missing", [5, 21, 35])
def test_a_hole_is_an_error_that_can_be_retried(missing: int) -> None:
    times = [ORIGIN + number for number in range(60)]
    whole = exchange(times, includes_since=False, page=20)

    def holed(since: int) -> TradesResponse:
        response = whole(since)
        return TradesResponse(response.pair, response.rows.filter(response.rows["trade_id"] != missing), response.last)

    with pytest.raises(SourceUnavailable, match="gap") as caught:
        collect(asking(holed), ORIGIN, ORIGIN + 60)
    assert caught.value.retryable


def test_going_on_where_one_stopped_gives_the_rest_and_nothing_twice() -> None:
    times = [ORIGIN + number for number in range(50)]
    ask = asking(exchange(times, includes_since=True, page=20))
    whole = [page.rows["trade_id"].to_list() for page in follow_trades(ask, ORIGIN - 1, page_size=20)]
    assert [number for page in whole for number in page] == list(range(1, 51))
    for pages in range(1, len(whole)):
        stopped = [page for page, _ in zip(follow_trades(ask, ORIGIN - 1, page_size=20), range(pages), strict=False)][
            -1
        ]
        rest = follow_trades(ask, stopped.since, stopped.seen, page_size=20)
        assert [page.rows["trade_id"].to_list() for page in rest] == whole[pages:]


def test_what_follows_on_the_last_trade_had_is_held_to_its_number() -> None:
    ask = asking(exchange([ORIGIN + number for number in range(50)], includes_since=False, page=20))
    with pytest.raises(SourceUnavailable, match="gap"):
        next(follow_trades(ask, ORIGIN + 20, seen=5, page_size=20))


def test_a_cursor_that_advances_over_the_same_trades_is_given_up() -> None:
    """A server could repeat a full page for ever, each time with a later cursor."""
    rows = [["1.0", "1.0", Decimal(ORIGIN).scaleb(-9), "b", "l", "", number] for number in (1, 2, 3)]
    asked: list[int] = []

    def ask(since: int, read: Read) -> FreshTrades:
        asked.append(since)
        return read(parse_trades({"XBTUSD": rows, "last": since + 10}))

    with pytest.raises(MalformedPayload, match="cursor"):
        list(follow_trades(ask, 0, 3, page_size=3))
    assert asked == [0, 10]
