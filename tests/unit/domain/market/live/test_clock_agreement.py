"""A source and a receiver whose clocks differ: what is rejected is missing, and no minute says otherwise."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from trading_platform.domain.market.live.bar_builder import GRACE, BarBuilder
from trading_platform.domain.market.live.bar_series import Basis
from trading_platform.domain.market.live.event_validation import AHEAD
from trading_platform.domain.market.live.events import Event, FeedDown, FeedUp, Heartbeat, Quote, Trade
from trading_platform.domain.time import Window

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
SYMBOLS = frozenset({"BTCUSD", "ETHUSD"})


class Receiver:
    """A builder that receives what happens now, by a clock that may be wrong."""

    def __init__(self) -> None:
        self.builder = BarBuilder("kraken", basis=dict.fromkeys(sorted(SYMBOLS), Basis.TRADE), fill_no_trade=True)
        self.wrong = timedelta(0)
        self.number = 0
        self.volume: dict[datetime, Decimal] = {}
        self.covered: list[Window] = []
        self.stored: dict[datetime, Decimal] = {}
        self.changes: list[FeedUp | FeedDown] = []

    def receive(self, event: Event, at: datetime | None = None) -> bool:
        accepted = self.builder.add(event, received=(at or event.time) + self.wrong)
        self.changes += self.builder.take_changes()
        final = self.builder.take_final()
        if final is not None:
            self.covered = Window.merge([*self.covered, *final.covered.get("BTCUSD", [])])
            for late in final.late.get("BTCUSD", []):
                self.covered = [part for each in self.covered for part in each.subtract([late])]
            rows = final.bars.filter(final.bars["symbol"] == "BTCUSD")
            self.stored |= dict(rows.select("time", "volume").iter_rows())
        return accepted

    def second(self, at: datetime, *, trades: bool = True) -> None:
        """One second of a market, by the exchange's clock; heartbeats have the receiver's."""
        self.receive(Heartbeat(at + self.wrong), at)
        if trades:
            self.number += 1
            minute = at.replace(second=0, microsecond=0)
            self.volume[minute] = self.volume.get(minute, Decimal(0)) + 1
            self.receive(Trade("BTCUSD", at, Decimal(100), Decimal(1), self.number))

    def check(self) -> None:
        """No minute counts as received of which a trade is missing."""
        for window in self.covered:
            for number in range((window.end - window.start) // MINUTE):
                minute = window.start + number * MINUTE
                assert self.stored[minute] == self.volume.get(minute, Decimal(0)), minute


def test_a_feed_that_is_up_in_the_future_is_up_once_the_clocks_agree_without_a_reconnect() -> None:
    made = Receiver()
    made.wrong = -8 * SECOND
    made.receive(FeedUp(NOON, SYMBOLS))
    assert made.changes == []
    assert made.builder.clocks.held == SYMBOLS
    for second in range(100):
        made.second(NOON + second * SECOND)
    assert made.builder.clocks.ahead_by == 8 * SECOND
    made.wrong = timedelta(0)
    for second in range(100, 400):
        made.second(NOON + second * SECOND)
    made.check()
    (up,) = made.changes
    # The last trade was rejected at 91 s by the receiver's clock; a minute later one is accepted.
    assert up == FeedUp(NOON + 151 * SECOND + timedelta(microseconds=1), frozenset({"BTCUSD"}))
    assert made.covered == [Window(NOON + 3 * MINUTE, NOON + 6 * MINUTE)]
    assert made.builder.clocks.held == {"ETHUSD"}, "nothing has come of it yet"


@pytest.mark.parametrize("seed", range(20))
def test_a_clock_that_is_set_back_and_right_again_makes_no_wrong_minute(seed: int) -> None:
    chance = random.Random(seed)
    made = Receiver()
    made.receive(FeedUp(NOON, SYMBOLS))
    steps = {
        chance.randrange(900): timedelta(seconds=chance.choice([-3600, -30, -8, -5.5, -4, 0, 0, 0])) for _ in "abcd"
    }
    for second in range(1_500):
        made.wrong = steps.get(second, made.wrong) if second < 900 else timedelta(0)
        made.second(NOON + second * SECOND, trades=chance.random() < 0.2 or second > 1_000)
    made.check()
    assert made.covered
    assert made.covered[-1].end == NOON + 24 * MINUTE, "it goes on by itself"


def test_one_trade_from_the_future_is_an_outage_of_that_minute_and_no_more() -> None:
    made = Receiver()
    made.receive(FeedUp(NOON, SYMBOLS))
    for second in range(90):
        made.second(NOON + second * SECOND)
    now = NOON + 90 * SECOND
    made.volume[NOON + MINUTE] += 1
    assert not made.receive(Trade("BTCUSD", datetime(8999, 1, 1, tzinfo=UTC), Decimal(1), Decimal(1), 777), now)
    for second in range(91, 400):
        made.second(NOON + second * SECOND)
    made.check()
    up, down, again = made.changes
    assert isinstance(up, FeedUp)
    assert isinstance(down, FeedDown)
    assert (down.symbols, down.time) == (frozenset({"BTCUSD"}), NOON + 89 * SECOND - GRACE)
    assert "ahead of this machine's clock" in down.reason
    assert again == FeedUp(NOON + 150 * SECOND + timedelta(microseconds=1), frozenset({"BTCUSD"}))
    assert made.covered == [Window(NOON, NOON + MINUTE), Window(NOON + 3 * MINUTE, NOON + 6 * MINUTE)]


def test_good_and_bad_trades_by_turns_make_one_outage_and_not_one_each() -> None:
    made = Receiver()
    made.receive(FeedUp(NOON, SYMBOLS))
    for second in range(600):
        made.second(NOON + second * SECOND)
        if second < 400:
            made.receive(Trade("BTCUSD", NOON + timedelta(hours=1), Decimal(1), Decimal(1)), NOON + second * SECOND)
    assert len(made.changes) == 3


def test_quotes_of_the_future_do_not_interrupt_bars_of_trades() -> None:
    made = Receiver()
    made.receive(FeedUp(NOON, SYMBOLS))
    made.second(NOON)
    assert not made.receive(Quote("BTCUSD", NOON + MINUTE, Decimal(1), Decimal(2)), NOON + SECOND)
    assert not made.builder.clocks
    assert len(made.changes) == 1


def test_a_feed_that_is_down_from_the_future_or_from_before_its_time_is_down_within_it() -> None:
    made = Receiver()
    made.receive(FeedUp(NOON, SYMBOLS))
    for second in range(200):
        made.second(NOON + second * SECOND)
    now = NOON + 200 * SECOND
    made.receive(FeedDown(now + timedelta(hours=1), frozenset({"BTCUSD"}), "cut"), now)
    made.receive(FeedDown(datetime(1970, 1, 1, tzinfo=UTC), frozenset({"BTCUSD", "ETHUSD"}), "trades were missed"), now)
    assert [change.time for change in made.changes[1:]] == [now, NOON - timedelta(days=1)]
    made.second(now + MINUTE, trades=False)
    late = sum((window.end - window.start for window in Window.merge(made.covered)), timedelta(0))
    assert late == timedelta(0), "everything since it was first up is to be requested again, and nothing before"


def test_the_state_holds_what_is_held_and_an_older_state_holds_nothing() -> None:
    made = Receiver()
    made.receive(FeedUp(NOON + AHEAD + 2 * SECOND, SYMBOLS), NOON)
    state = json.loads(json.dumps(made.builder.state()))
    again = BarBuilder("kraken", basis=dict.fromkeys(sorted(SYMBOLS), Basis.TRADE), fill_no_trade=True)
    again.restore(state)
    assert again.clocks.held == SYMBOLS
    del state["held"]
    again.restore(state)
    assert not again.clocks
