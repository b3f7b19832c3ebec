"""When silence is one, and when it is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from trading_platform.domain.quality.feed_watchdog import FeedWatchdog, Inactivity

OPENING = datetime(2024, 3, 4, 14, 30, tzinfo=UTC)
BOTH = ("AAPL", "MSFT")


def after(seconds: float) -> datetime:
    return OPENING + timedelta(seconds=seconds)


def test_the_circuit_opens_once_after_two_minutes_and_closes_with_the_first_data():
    watch = FeedWatchdog()
    watch.judge(OPENING, BOTH)
    watch.seen("AAPL", after(10))
    assert watch.judge(after(130), BOTH) == []
    opened = Inactivity(None, since=after(10))
    assert watch.judge(after(130.1), BOTH) == [opened]
    assert watch.is_open
    assert watch.judge(after(1000), BOTH) == [], "one word for one incident, and none of its symbols"
    watch.seen("MSFT", after(1001))
    assert watch.judge(after(1002), BOTH) == [Inactivity(None, opened.since, over=after(1001))]
    assert not watch.is_open


def test_a_closed_market_is_not_silent():
    watch = FeedWatchdog()
    watch.seen("AAPL", OPENING - timedelta(hours=17))
    assert watch.judge(OPENING - timedelta(hours=1), []) == []
    assert watch.judge(OPENING, BOTH) == [], "the night before is no silence"
    assert watch.judge(after(120), BOTH) == []
    assert watch.judge(after(121), BOTH) == [Inactivity(None, since=OPENING)]
    assert watch.judge(after(200), []) == [], "it goes on until there are data, not until the close"
    watch.seen("AAPL", after(86_400))
    assert [inactivity.over for inactivity in watch.judge(after(86_400), BOTH)] == [after(86_400)]


def test_a_symbol_is_complained_about_once_and_again_in_the_next_incident():
    watch = FeedWatchdog()
    found = []
    for second in range(1500):
        watch.seen("AAPL", after(second))
        if second in (700, 701):
            watch.seen("MSFT", after(second))
        found += [(second, inactivity) for inactivity in watch.judge(after(second), BOTH)]
    assert found == [
        (301, Inactivity("MSFT", since=OPENING)),
        (700, Inactivity("MSFT", since=OPENING, over=after(700))),
        (1002, Inactivity("MSFT", since=after(701))),
    ]


def test_symbols_are_given_their_time_when_the_feed_is_back():
    watch = FeedWatchdog()
    watch.judge(OPENING, BOTH)
    assert len(watch.judge(after(600), BOTH)) == 1
    watch.seen("AAPL", after(601))
    assert [inactivity.symbol for inactivity in watch.judge(after(602), BOTH)] == [None]
    watch.seen("AAPL", after(900))
    assert watch.judge(after(901), BOTH) == []
    assert watch.judge(after(902), BOTH) == [Inactivity("MSFT", since=after(601))]


def test_a_circuit_that_was_left_open_closes_with_the_first_data():
    watch = FeedWatchdog()
    watch.resume(is_open=True)
    assert watch.is_open
    assert watch.judge(after(1000), BOTH) == []
    watch.seen("AAPL", after(1001))
    assert [inactivity.over for inactivity in watch.judge(after(1002), BOTH)] == [after(1001)]
    assert not watch.is_open


@given(st.lists(st.tuples(st.sampled_from(["AAPL", "MSFT", "nothing", "close", "open"]), st.integers(1, 200))))
def test_words_alternate_whatever_happens(happenings: list[tuple[str, int]]):
    watch = FeedWatchdog()
    now, trading = OPENING, set(BOTH)
    words: dict[str | None, list[bool]] = {}
    for what, seconds in happenings:
        now += timedelta(seconds=seconds)
        if what in BOTH:
            watch.seen(what, now)
        trading = {"close": set(), "open": set(BOTH)}.get(what, trading)
        for inactivity in watch.judge(now, trading):
            words.setdefault(inactivity.symbol, []).append(inactivity.over is not None)
            assert inactivity.since <= (inactivity.over or now)
    for reports in words.values():
        assert reports == [bool(number % 2) for number in range(len(reports))], (
            "one when it begins, one when it is over"
        )
