"""Budgets within a process, held against what a token bucket and a stretch are by definition."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_platform.domain.rate_limits import Book, share
from trading_platform.sources.kraken.limits import public_cost
from trading_platform.sources.rate_limits import Cost, Limit, LocalRateLimiter, Rate, Within

MICRO = 1e-6


class Time:
    """A clock that only sleeping and the test move."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def holds(limit: Limit, given_: Sequence[tuple[float, int]], slack: float = 0.0) -> bool:
    """Whether moments and weights keep a limit, by its definition: over every span, in any order they were given."""
    slots = sorted(given_)
    for first, last in itertools.combinations_with_replacement(range(len(slots)), 2):
        taken = sum(weight for _, weight in slots[first : last + 1])
        span = slots[last][0] - slots[first][0]
        if isinstance(limit, Rate):
            if taken > limit.burst + limit.per_second * (span + slack) + 1e-6:
                return False
        elif span < limit.seconds - slack - MICRO / 2 and taken > limit.count:
            return False
    return True


LIMITS: tuple[Limit, ...] = (Rate("slow", 0.4, 3), Rate("fast", 5, 2.5), Within("few", 3, 10), Within("many", 6, 4))
costs = st.lists(
    st.builds(Cost, st.sampled_from(LIMITS), st.sampled_from(["one", "other"]), st.integers(1, 2)),
    min_size=1,
    max_size=3,
    unique_by=lambda cost: (cost.limit, cost.key),
)
asked = st.lists(st.tuples(st.sampled_from([0.0, 0.0, 0.3, 1.0, 7.0]), costs, st.floats(0, 1)), max_size=25)


@given(asked)
def test_slots_keep_every_limit_and_are_the_first_that_do(requests):
    clock = Time()
    rate_limiter = LocalRateLimiter(monotonic=clock.monotonic)
    slots: dict[tuple[Limit, str], list[tuple[float, int]]] = {}
    for pause, wanted, part in requests:
        clock.now += pause
        wait = rate_limiter.reserve(wanted)
        timestamp = clock.now + wait
        before = {cost: slots.setdefault((cost.limit, cost.key), []) for cost in wanted}
        earlier = clock.now + part * (wait - 10 * MICRO)
        if wait > 10 * MICRO:
            assert not all(holds(each.limit, [*before[each], (earlier, each.weight)]) for each in wanted), "too late"
        for cost, had in before.items():
            had.append((timestamp, cost.weight))
    for (limit, _), had in slots.items():
        assert holds(limit, had)


@pytest.mark.parametrize("rate", [0.25, 1.0, 3.0])
def test_a_thread_that_waits_keeps_the_rate_and_loses_nothing(rate: float):
    clock = Time()
    rate_limiter = LocalRateLimiter(monotonic=clock.monotonic, sleep=clock.sleep)
    cost = public_cost("http://kraken", rate)
    timestamps = []
    for _ in range(40):
        before = clock.now
        assert rate_limiter.take([cost]) == pytest.approx(clock.now - before)
        timestamps.append((clock.now, 1))
    assert holds(cost.limit, timestamps)
    assert clock.now == pytest.approx((40 - max(1.0, rate)) / rate, abs=1e-3)


def test_an_idle_bucket_does_not_save_up_more_than_its_burst():
    clock = Time()
    rate_limiter = LocalRateLimiter(monotonic=clock.monotonic, sleep=clock.sleep)
    clock.now = 3600.0
    for _ in range(3):
        rate_limiter.take([public_cost("http://kraken", 2.0)])
    assert clock.now == pytest.approx(3600.5)


def test_who_is_held_back_by_one_limit_does_not_hold_up_others_in_another():
    clock = Time()
    rate_limiter = LocalRateLimiter(monotonic=clock.monotonic)
    account, same = Within("account", 2, 1.0), Within("same", 1, 15.0)
    assert rate_limiter.reserve([Cost(account, "a"), Cost(same, "x")]) == 0
    assert rate_limiter.reserve([Cost(account, "a"), Cost(same, "x")]) == 15
    assert rate_limiter.reserve([Cost(account, "a"), Cost(same, "y")]) == 0
    assert rate_limiter.reserve([Cost(account, "a")]) == 1


def test_a_heavy_request_is_not_overtaken_for_ever():
    clock = Time()
    rate_limiter = LocalRateLimiter(monotonic=clock.monotonic)
    rate = Rate("r", 1, 4)
    for _ in range(4):
        rate_limiter.reserve([Cost(rate, "k")])
    heavy = rate_limiter.reserve([Cost(rate, "k", 4)])
    assert heavy == 4
    assert all(rate_limiter.reserve([Cost(rate, "k")]) > heavy for _ in range(50))


def test_threads_have_slots_of_their_own():
    rate_limiter, waits = LocalRateLimiter(monotonic=lambda: 0.0), []
    rate = Rate("r", 100, 5)

    def work() -> None:
        waits.extend(rate_limiter.reserve([Cost(rate, "k")]) for _ in range(100))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(waits) == pytest.approx([0] * 5 + [place / 100 for place in range(1, 396)], abs=1e-3)


@pytest.mark.parametrize(
    "cost",
    [
        Cost(Rate("r", 1, 3), "k", 4),
        Cost(Within("w", 3, 1), "k", 4),
        Cost(Rate("r", 1, 0.5), "k"),
        Cost(Rate("r", 1, 3), "k", 0),
    ],
)
def test_what_never_fits_is_an_error(cost: Cost):
    with pytest.raises(ValueError, match=cost.limit.name):
        LocalRateLimiter().take([cost])


def test_charges_on_the_same_limit_and_key_count_together():
    rate = Rate("r", 1, 3)
    with pytest.raises(ValueError, match="never fits"):
        LocalRateLimiter().take([Cost(rate, "k", 2), Cost(rate, "k", 2)])
    assert LocalRateLimiter().reserve([Cost(rate, "k", 2), Cost(rate, "other", 2)]) == 0


@pytest.mark.parametrize("make", [lambda: Rate("r", 0, 1), lambda: Rate("r", 1, 0), lambda: Within("w", 0, 1)])
def test_a_limit_that_allows_nothing_cannot_be_declared(make):
    with pytest.raises(ValueError, match="allows nothing"):
        make()


@pytest.mark.parametrize("limit", LIMITS)
def test_a_book_says_what_is_left_and_when_all_of_it_is_back(limit: Limit):
    book = Book()
    for second in range(4):
        book.settle(limit, second * 1_000_000)
        book.give(book.earliest(limit, second * 1_000_000, 1), 1)
    full = book.full_at(limit, 3_000_000)
    book.settle(limit, full - 2)
    assert book.left(limit, full - 2) < limit.most
    book.settle(limit, full)
    assert book.left(limit, full) == pytest.approx(limit.most)
    assert (book.full_at(limit, full), book.ahead(full)) == (full, 0)


@given(st.sampled_from(LIMITS), st.integers(1, 2))
def test_four_who_each_keep_their_part_keep_the_limit_together(limit: Limit, weight: int):
    part = share(Cost(limit, "k", weight), 4).limit
    clock = Time()
    slots = []
    for _ in range(4):
        rate_limiter = LocalRateLimiter(monotonic=clock.monotonic)
        slots += [(rate_limiter.reserve([Cost(part, "k", weight)]), weight) for _ in range(8)]
    # a part is at least one request: that much more can come together
    extra = max(0.0, 4 * weight - limit.most)
    wider = (
        Rate(limit.name, limit.per_second, limit.burst + extra)
        if isinstance(limit, Rate)
        else Within(limit.name, int(limit.count + extra), limit.seconds)
    )
    assert holds(wider, slots)
