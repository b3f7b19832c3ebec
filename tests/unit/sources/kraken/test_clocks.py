"""Times of Kraken's messages that cannot be change nothing of what is known; a lost trade is noticed by its id."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kraken_messages import BOTH, SECOND, SPELLINGS, START, Followed, ack, ids, trade

from trading_platform.domain.market.live.bar_builder import BarBuilder
from trading_platform.domain.market.live.bar_series import Basis
from trading_platform.domain.market.live.event_validation import AHEAD
from trading_platform.domain.market.live.events import FeedDown, FeedUp, Heartbeat

FAR = [datetime(8999, 1, 1, tzinfo=UTC), START + timedelta(days=365), START + timedelta(minutes=15)]
PAST = datetime(1970, 1, 2, tzinfo=UTC)


class Bars:
    """A stream and the builder of its bars; what became of the feed's state."""

    def __init__(self) -> None:
        self.feed = Followed()
        self.builder = BarBuilder("kraken", basis=dict.fromkeys(sorted(BOTH), Basis.TRADE), fill_no_trade=True)
        self.changes: list[FeedUp | FeedDown] = []
        self.covered = 0
        self.late = 0
        self.take(self.feed.subscribe(BTCUSD=[1, 2, 3], ETHUSD=[1]))

    def take(self, events: list[Any]) -> list[Any]:
        for event in events:
            self.builder.add(event, received=self.feed.now)
        self.changes += self.builder.take_changes()
        final = self.builder.take_final()
        if final is not None:
            self.covered += len(final.covered.get("BTCUSD", []))
            self.late += len(final.late_minutes())
        return events

    def trade(self, *numbers: int, at: datetime | None = None) -> list[Any]:
        return self.take(self.feed.trade("BTCUSD", *numbers, at=at))

    def minutes(self, count: int, first: int) -> None:
        """So many minutes with a trade every twenty seconds."""
        for number in range(3 * count):
            self.trade(first + number)
            self.take(self.feed.quiet(20))


@pytest.mark.parametrize("at", FAR)
def test_one_trade_from_the_future_leaves_a_short_outage(at: datetime) -> None:
    made = Bars()
    made.minutes(2, 4)
    assert ids(made.trade(11, at=at)) == [11], "emitted, to be rejected"
    assert made.builder.counts.rejected == 1
    made.minutes(4, 12)
    assert all(change.time <= made.feed.now + AHEAD for change in made.changes)
    assert not made.feed.stream.symbols_down
    assert not made.builder.clocks
    state = made.builder.state()["series"]["BTCUSD"]
    assert state["down_since"] is None
    assert made.covered >= 3
    assert made.feed.stream._time.reached is not None
    assert made.feed.stream._time.reached <= made.feed.now


def test_trades_from_the_future_in_a_snapshot_do_not_move_its_end() -> None:
    made = Bars()
    made.take(made.feed.stream.broken("cut"))
    made.feed.now += 20 * SECOND
    rows = [trade("BTCUSD", 4, made.feed.now), trade("BTCUSD", 5, FAR[0])]
    made.feed.stream.connected()
    for symbol in SPELLINGS:
        made.take(made.feed.send(ack(symbol, made.feed.now)))
    made.take(made.feed.send({"channel": "trade", "type": "snapshot", "data": rows}))
    made.take(made.feed.quiet(8))
    made.minutes(3, 6)
    assert not made.feed.stream.symbols_down
    assert all(change.time <= made.feed.now for change in made.changes)
    assert made.covered


@pytest.mark.parametrize("at", [*FAR, PAST, START - timedelta(days=400)])
def test_an_answer_with_a_wrong_time_moves_no_clock(at: datetime) -> None:
    made = Bars()
    made.take(made.feed.send(ack("BTCUSD", at)))
    (heartbeat,) = [event for event in made.feed.quiet(1) if isinstance(event, Heartbeat)]
    assert abs(heartbeat.time - made.feed.now) <= 2 * SECOND
    made.trade(4)
    assert ids(made.trade(6)) == [6]
    lost = [event for event in made.feed.quiet(4) if isinstance(event, FeedDown)]
    assert [down.reason for down in lost] == ["1 trades from id 5 on are missing"]


def test_a_trade_of_long_ago_with_a_fresh_number_does_not_move_the_beginning_of_outages() -> None:
    made = Bars()
    made.trade(4)
    made.trade(5, at=PAST)
    made.trade(9)
    made.take(made.feed.quiet(4))
    downs = [change for change in made.changes if isinstance(change, FeedDown)]
    assert downs
    assert all(down.time >= START - timedelta(days=1) for down in downs)
    gapless = made.builder.state
    made.minutes(2, 10)
    made.take(made.feed.stream.broken("cut"))
    assert made.late < 10
    assert gapless()["series"]["BTCUSD"]["gapless"][1] >= START.isoformat()


@pytest.mark.parametrize("behind", [8 * SECOND, timedelta(hours=1)])
def test_a_receiver_that_is_behind_when_it_connects_goes_on_by_itself(
    behind: timedelta, caplog: pytest.LogCaptureFixture
) -> None:
    made = Bars()
    made.take(made.feed.stream.broken("cut"))
    made.feed.stream.connected()
    for symbol in SPELLINGS:
        made.take(made.feed.send(ack(symbol, made.feed.now + behind)))
    for number in range(4, 10):
        made.trade(number, at=made.feed.now + behind)
        made.take(made.feed.quiet(10))
    assert made.builder.clocks.held >= {"BTCUSD"}
    assert f"{behind.total_seconds():.1f} s ahead of this machine's" in caplog.text
    covered = made.covered
    made.feed.now += behind
    made.minutes(4, 10)
    assert made.covered >= covered + 2
    assert not made.builder.clocks.held & {"BTCUSD"}
    down = [change for change in made.changes if "BTCUSD" in change.symbols][-2:]
    assert [type(change) for change in down][-1] is FeedUp
