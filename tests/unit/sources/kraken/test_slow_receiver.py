"""A receiver that is slow, busy or stopped for a while hears the same as a quick one: only what Kraken does counts."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from kraken_messages import HEARTBEAT, SECOND, SPELLINGS, START, Followed, ack, ids, quote, trade
from properties import examples

from trading_platform.domain.market.live.bar_builder import BarBuilder
from trading_platform.domain.market.live.bar_series import Basis
from trading_platform.domain.market.live.events import Event, FeedDown, FeedUp, Heartbeat, Trade
from trading_platform.domain.market.live.final_minutes import FinalMinutes
from trading_platform.sources.kraken.live.stream import PATIENCE, SETTLING

HOUR = timedelta(hours=1)
BOTH = {"BTCUSD": [1], "ETHUSD": [1]}


def update(*trades: dict[str, Any]) -> dict[str, Any]:
    return {"channel": "trade", "type": "update", "data": list(trades)}


def test_a_trade_that_is_read_late_is_not_lost() -> None:
    feed = Followed()
    feed.subscribe(**BOTH)
    sent = feed.now
    said = feed.send(update(trade("BTCUSD", 3, sent)))
    feed.now += HOUR  # the process was busy, and all of this waited to be read
    said += feed.send(quote("BTCUSD", sent + PATIENCE * 0.9))
    said += feed.send(update(trade("BTCUSD", 2, sent)))
    said += feed.quiet(10)
    assert ids(said) == [3, 2]
    assert not any(isinstance(event, FeedDown | FeedUp) for event in said)
    assert feed.stream.counts.lost == 0


def test_a_trade_that_is_sent_too_late_is_lost_however_quickly_it_is_read() -> None:
    feed = Followed()
    feed.subscribe(**BOTH)
    sent = feed.now
    said = feed.send(update(trade("BTCUSD", 3, sent)))
    assert feed.send(quote("ETHUSD", sent + PATIENCE * 0.9))[1:] == []
    (_, down, up) = feed.send(quote("ETHUSD", sent + PATIENCE))
    assert (down.time, up.time) == (START, sent + timedelta(microseconds=1))
    assert ids(said + feed.send(update(trade("BTCUSD", 2, sent)))) == [3, 2]
    assert feed.stream.counts.lost == 1


def test_a_time_that_cannot_be_does_not_hide_what_is_lost() -> None:
    feed = Followed()
    feed.subscribe(**BOTH)
    feed.send(update(trade("ETHUSD", 2, feed.now + 300 * SECOND)))
    feed.trade("BTCUSD", 3)
    feed.now += PATIENCE
    assert FeedDown in [type(event) for event in feed.trade("BTCUSD", 4)]


def test_heartbeats_that_waited_do_not_end_a_minute_whose_trades_wait_behind_them() -> None:
    prompt, late = Followed(), Followed()
    for feed in (prompt, late):
        feed.subscribe(**BOTH)
    beats = [prompt.send(HEARTBEAT, after=SECOND) for _ in range(30)]
    late.now += HOUR
    assert [late.send(HEARTBEAT) for _ in range(30)] == beats
    read = late.now
    late.stream.idle(read)  # all that had come by then has been read
    assert late.send(HEARTBEAT, after=SECOND) == [Heartbeat(read)]


def test_an_outage_begins_with_what_was_sent_last_whenever_that_was_read() -> None:
    feed = Followed()
    feed.subscribe(**BOTH)
    sent = feed.now
    feed.now += HOUR
    feed.send(quote("BTCUSD", sent + SECOND))
    (down,) = feed.stream.broken("cut")
    assert down.time == sent + SECOND - PATIENCE


def test_snapshots_that_wait_to_be_read_are_waited_for() -> None:
    feed = Followed()
    feed.stream.connected()
    connected = feed.now
    feed.now += HOUR
    said = [event for symbol in SPELLINGS for event in feed.send(ack(symbol, connected))]
    for symbol in SPELLINGS:
        feed.now += HOUR
        assert feed.stream.unanswered() == []
        said += feed.send({"channel": "trade", "type": "snapshot", "data": [trade(symbol, 1, connected - SETTLING)]})
    ups = [event for event in said if isinstance(event, FeedUp)]
    assert {symbol for up in ups for symbol in up.symbols} == SPELLINGS.keys()
    assert not any(isinstance(event, FeedDown) for event in said)
    assert len(ids(said)) == len(SPELLINGS)


def kraken(chance: random.Random, seconds: int) -> Iterator[tuple[datetime, dict[str, Any]]]:
    """What Kraken sends and when: busy and quiet times, trades late by less than the patience, or never."""
    numbers = dict.fromkeys(SPELLINGS, 1)
    queue: list[tuple[float, dict[str, Any]]] = []
    timestamp = 0.0
    while timestamp < seconds:
        timestamp += chance.choice((0.0, 0.01, 0.2, 1.5, 7.0)) * chance.random()
        symbol = chance.choice(list(SPELLINGS))
        stamp = START + timedelta(seconds=timestamp)
        if chance.random() < 0.3:
            queue.append((timestamp, quote(symbol, stamp)))
            continue
        numbers[symbol] += 1
        if chance.random() < 0.95:
            late = chance.choice((0, 0, 0.5, 0.9)) * PATIENCE.total_seconds() * chance.random()
            queue.append((timestamp + late, update(trade(symbol, numbers[symbol], stamp))))
    end = seconds + 10  # the last ones come, so that all before them are emitted or missed
    queue += [(end, update(trade(symbol, numbers[symbol] + 1, START + end * SECOND))) for symbol in SPELLINGS]
    last = 0.0
    for at, message in sorted(queue, key=lambda item: item[0]):
        while at > last + 1:
            last += 1
            yield START + timedelta(seconds=last), HEARTBEAT
        last = at
        yield START + timedelta(seconds=at), message
    for number in range(1, 70):
        yield START + timedelta(seconds=last + number), HEARTBEAT


def heard(
    sent: list[tuple[datetime, dict[str, Any]]], pause: Callable[[], float]
) -> tuple[list[Event], FinalMinutes, int]:
    """What is emitted of it, the minutes, and how many trades count as lost.

    Args:
        sent: what Kraken sends.
        pause: gives the seconds for which the receiver pauses before it reads a message.
    """
    feed, builder = Followed(), BarBuilder("kraken", basis=dict.fromkeys(SPELLINGS, Basis.TRADE))
    said = feed.subscribe(**BOTH)
    for at, message in sent:
        if at > feed.now:
            feed.stream.idle(feed.now)
        feed.now = max(feed.now, at) + timedelta(seconds=pause())
        said += feed.send(message)
    for event in said:
        builder.add(event)
    final = builder.take_final()
    assert final is not None
    return [event for event in said if not isinstance(event, Heartbeat)], final, feed.stream.counts.lost


@settings(max_examples=examples(60))
@given(st.integers(0, 10**6), st.sampled_from([0.001, 0.05, 0.3]), st.sampled_from([2.0, 10.0, 60.0]))
def test_however_slowly_messages_are_read_the_same_is_told(seed: int, often: float, longest: float) -> None:
    chance = random.Random(seed)
    sent = list(kraken(chance, 200))
    emitted, minutes, lost = heard(sent, lambda: 0.0)
    slow, slow_minutes, slow_lost = heard(sent, lambda: longest * chance.random() if chance.random() < often else 0.01)
    assert ids(slow) == ids(emitted)
    assert outages(slow) == outages(emitted)
    assert slow_minutes.bars.equals(minutes.bars)
    assert (slow_minutes.covered, slow_minutes.late) == (minutes.covered, minutes.late)
    numbers = [[e.trade_id for e in emitted if isinstance(e, Trade) and e.symbol == symbol] for symbol in SPELLINGS]
    assert lost == slow_lost == sum(max(each) - len(each) for each in numbers)
    assert sum(isinstance(event, FeedDown) for event in emitted) <= lost


def outages(emitted: list[Event]) -> list[Event]:
    return sorted(
        (each for each in emitted if isinstance(each, FeedDown | FeedUp)), key=lambda each: (each.time, str(each))
    )
