"""What Kraken's live messages mean one after the other, and what happens to those that mean nothing."""

from __future__ import annotations

import json
import random
import tracemalloc
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kraken_messages import BOTH, HEARTBEAT, SECOND, SPELLINGS, START, Followed, ack, ids, quote, trade
from properties import examples

from trading_platform.domain.market.live.bar_builder import BarBuilder
from trading_platform.domain.market.live.bar_series import Basis, gapless_of
from trading_platform.domain.market.live.events import FeedDown, FeedUp, Heartbeat, Quote, Trade
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.sources.kraken.live.stream import PATIENCE, SETTLING
from trading_platform.sources.live import Backoff, RejectedMessage


def test_both_channels_are_asked_for_in_krakens_spelling() -> None:
    requests = [json.loads(request) for request in Followed().stream.connected()]
    assert {request["params"]["channel"] for request in requests} == {"ticker", "trade"}
    assert all(request["params"]["symbol"] == ["BTC/USD", "ETH/USD"] for request in requests)
    (ticker,) = (request["params"] for request in requests if request["params"]["channel"] == "ticker")
    assert ticker["event_trigger"] == "bbo"


def test_numbers_stay_decimal_and_symbols_become_the_platforms() -> None:
    feed = Followed()
    feed.subscribe(BTCUSD=[1], ETHUSD=[1])
    (said,) = feed.send(
        b'{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","bid":105944.20,"ask":105944.3,'
        b'"last":0.10000000000000000001,"volume":163,"timestamp":"2025-03-04T15:00:01.123456789Z"}]}'
    )
    timestamp = START + timedelta(seconds=1, microseconds=123456)
    last = Decimal("0.10000000000000000001")
    assert said == Quote("BTCUSD", timestamp, Decimal("105944.20"), Decimal("105944.3"), last, Decimal(163))


def test_recorded_messages_are_understood(test_data: Path) -> None:
    folder = test_data / "payloads" / "nautilus_kraken"
    feed = Followed(since=datetime(2022, 1, 1, tzinfo=UTC))
    names = ("subscribe_response", "ticker_snapshot", "trade_update", "pong")
    feed.stream.connected()
    for name in names:
        feed.send((folder / f"ws_{name}.json").read_bytes())
    events = feed.quiet(SETTLING // SECOND)
    assert not feed.rejected
    assert feed.stream.counts.accepted == len(names) + SETTLING // SECOND
    (said,) = [event for event in events if isinstance(event, Quote)]
    assert (said.bid, said.ask, said.volume) == (Decimal("105944.20"), Decimal("105944.30"), Decimal("163.28908096"))
    assert ids(events) == [10218208, 10218209]


def test_the_feed_is_up_since_the_start_where_the_snapshot_reaches_back() -> None:
    feed = Followed(since=START - 10 * SECOND)
    events = feed.subscribe(BTCUSD=list(range(1, 51)), ETHUSD=[7, 8, 9])
    ups = {symbol: event.time for event in events if isinstance(event, FeedUp) for symbol in event.symbols}
    assert ups["BTCUSD"] == START - 10 * SECOND
    assert ups["ETHUSD"] == START - 2 * SECOND + timedelta(microseconds=1)
    assert ids([event for event in events if getattr(event, "symbol", "") == "BTCUSD"]) == list(range(40, 51))
    assert [event.time for event in events] == sorted(event.time for event in events)
    assert not feed.stream.symbols_down


def test_an_outage_that_the_snapshot_closes_ends_where_it_began() -> None:
    feed = Followed()
    feed.subscribe(BTCUSD=[1, 2, 3], ETHUSD=[1])
    feed.now += 20 * SECOND
    feed.trade("BTCUSD", 4)
    (down,) = feed.stream.broken("cut")
    assert down == FeedDown(feed.now - PATIENCE, BOTH, "cut")
    feed.now += 30 * SECOND
    assert feed.stream.broken("refused") == []
    events = feed.subscribe(BTCUSD=[3, 4, 5, 6, 7], ETHUSD=[1])
    assert {event.time for event in events if isinstance(event, FeedUp)} == {down.time}
    assert ids(events) == [5, 6, 7]
    assert ids(feed.trade("BTCUSD", 8)) == [8]
    assert feed.stream.counts.lost == 0


def test_an_outage_with_lost_trades_ends_with_the_oldest_that_came() -> None:
    feed = Followed()
    feed.subscribe(BTCUSD=[1, 2, 3], ETHUSD=[1])
    newest = feed.now
    (down,) = feed.stream.broken("cut")
    feed.now += 100 * SECOND
    events = feed.subscribe(BTCUSD=[5, 6, 7], ETHUSD=[1, 2])
    # What came last before the outage may have been lost as well, without a trace.
    assert FeedDown(newest, frozenset({"BTCUSD"}), "trades were missed") in events
    ups = {symbol: event.time for event in events if isinstance(event, FeedUp) for symbol in event.symbols}
    assert ups == {"BTCUSD": feed.now - 2 * SECOND + timedelta(microseconds=1), "ETHUSD": down.time}
    assert sorted(ids(events)) == [2, 5, 6, 7]


def test_a_snapshot_with_a_hole_counts_from_behind_it() -> None:
    feed = Followed()
    feed.subscribe(BTCUSD=[1, 2, 3], ETHUSD=[1])
    feed.stream.broken("cut")
    feed.now += 100 * SECOND
    events = feed.subscribe(BTCUSD=[3, 4, 6, 7], ETHUSD=[1])
    ups = {symbol: event.time for event in events if isinstance(event, FeedUp) for symbol in event.symbols}
    assert ups["BTCUSD"] == feed.now - SECOND + timedelta(microseconds=1)
    assert ids(events) == [6, 7]


def gapless(events: list[Any]) -> list[int | None]:
    return [event.trade_id for event in events if isinstance(event, Trade) and event.gapless]


def test_a_trade_says_whether_all_before_it_were_told() -> None:
    feed = Followed()
    assert gapless(feed.subscribe(BTCUSD=[1, 2, 3], ETHUSD=[1])) == [3, 1]
    assert gapless(feed.trade("BTCUSD", 4)) == [4]
    assert gapless(feed.trade("BTCUSD", 6, 7)) == []
    assert gapless(feed.trade("BTCUSD", 5)) == [5]
    assert gapless(feed.trade("BTCUSD", 8)) == [8]
    assert gapless(feed.trade("BTCUSD", 10)) == []
    feed.send(HEARTBEAT, after=10 * SECOND)  # now it counts as lost, and was reported as an outage
    assert gapless(feed.trade("BTCUSD", 11)) == [11]


def test_of_a_quiet_market_the_last_trade_is_told_however_old() -> None:
    """The count begins with it."""
    feed = Followed(since=START + 60 * SECOND)
    events = feed.subscribe(BTCUSD=[7, 8, 9], ETHUSD=[1])
    assert gapless(events) == [1, 9] or gapless(events) == [9, 1]


def test_after_a_restart_the_numbers_tell_whether_anything_is_missing() -> None:
    last = START - 600 * SECOND
    feed = Followed(since=START - 300 * SECOND, trades={"BTCUSD": (3, last), "ETHUSD": (10, last)})
    events = feed.subscribe(BTCUSD=[2, 3, 4, 5], ETHUSD=[12, 13])
    ups = {symbol: event.time for event in events if isinstance(event, FeedUp) for symbol in event.symbols}
    assert ups == {"BTCUSD": last, "ETHUSD": START - SECOND + timedelta(microseconds=1)}
    assert [event for event in events if isinstance(event, FeedDown)] == [
        FeedDown(last, frozenset({"ETHUSD"}), "trades were missed")
    ]
    assert ids(events) == [4, 12, 5, 13]


def test_an_exchange_that_numbers_again_is_believed() -> None:
    last = START - 600 * SECOND
    feed = Followed(since=START - 300 * SECOND, trades={"BTCUSD": (1_000, last)})
    events = feed.subscribe(BTCUSD=[2, 3, 4], ETHUSD=[1])
    assert [event.time for event in events if isinstance(event, FeedDown)] == [last]
    assert ids([event for event in events if getattr(event, "symbol", "") == "BTCUSD"]) == [2, 3, 4]
    assert ids(feed.trade("BTCUSD", 5)) == [5]


@pytest.mark.parametrize("reaches_back", [True, False])
def test_a_message_lost_without_a_trace_before_a_kill_is_noticed_after_it(*, reaches_back: bool) -> None:
    """The minute was final and stored without the lost trade; no later trade had shown the hole."""
    feed, builder = Followed(), BarBuilder("kraken", basis=dict.fromkeys(SPELLINGS, Basis.TRADE))
    for event in feed.subscribe(BTCUSD=[1, 2, 3], ETHUSD=[1]):
        builder.add(event)
    feed.now += 65 * SECOND
    for event in feed.trade("BTCUSD", 4):
        builder.add(event)
    feed.now += 5 * SECOND
    feed.send(b'{"channel": "trade", "type": "update", "data": [{"symbol": "BTC/U')  # trade 5
    lost_at = feed.now
    for _ in range(60):
        for event in feed.send(HEARTBEAT, after=SECOND):
            builder.add(event)
    final = builder.take_final()
    assert final is not None
    minute = lost_at.replace(second=0, microsecond=0)
    assert final.until > minute
    assert not final.late

    state = json.loads(json.dumps(builder.state()))
    restored = BarBuilder("kraken", basis=dict.fromkeys(SPELLINGS, Basis.TRADE))
    restored.restore(state)
    assert restored.watermark is not None
    restored.add(FeedDown(restored.watermark, BOTH, "killed"))
    known = {symbol: gapless_of(state["series"][symbol]) for symbol in SPELLINGS}
    assert known["BTCUSD"] == (4, lost_at - 5 * SECOND)
    second_versions = Followed(
        since=final.until, trades={name: trade_ids for name, trade_ids in known.items() if trade_ids}
    )
    second_versions.now = feed.now + 30 * SECOND
    rows = [trade("BTCUSD", 5, lost_at), trade("BTCUSD", 6, second_versions.now)]
    second_versions.stream.connected()
    events = [event for symbol in SPELLINGS for event in second_versions.send(ack(symbol, second_versions.now))]
    events += second_versions.send({"channel": "trade", "type": "snapshot", "data": rows[0 if reaches_back else 1 :]})
    events += second_versions.send({"channel": "trade", "type": "snapshot", "data": [trade("ETHUSD", 1, START)]})
    events += second_versions.quiet(90)
    for event in events:
        restored.add(event)
    found = restored.take_final()
    assert found is not None
    assert any(minute in window for window in found.late["BTCUSD"])
    assert "ETHUSD" not in found.late


def test_trades_out_of_order_and_twice_are_told_once_without_an_outage() -> None:
    feed = Followed()
    feed.subscribe(BTCUSD=[1], ETHUSD=[1])
    said = [event for number in (2, 5, 3, 3, 4, 2, 6) for event in feed.trade("BTCUSD", number)]
    said += feed.send(HEARTBEAT, after=10 * SECOND)
    assert ids(said) == [2, 5, 3, 4, 6]
    assert feed.stream.counts.duplicates == 2
    assert not any(isinstance(event, FeedDown) for event in said)


def test_a_trade_that_stays_away_is_an_outage_between_its_neighbours() -> None:
    feed = Followed()
    feed.subscribe(BTCUSD=[1], ETHUSD=[1])
    before = feed.now + SECOND
    feed.send(HEARTBEAT, after=SECOND)
    feed.trade("BTCUSD", 2)
    feed.now += 3 * SECOND
    feed.trade("BTCUSD", 4)
    after = feed.now
    assert feed.send(HEARTBEAT, after=PATIENCE / 2) == [Heartbeat(feed.now)]
    down, up = feed.send(HEARTBEAT, after=PATIENCE / 2)[1:]
    assert (down.time, down.symbols) == (before, {"BTCUSD"})
    assert (up.time, up.symbols) == (after + timedelta(microseconds=1), {"BTCUSD"})
    assert feed.stream.counts.lost == 1
    assert ids(feed.trade("BTCUSD", 3)) == [3]


def test_a_hole_open_at_the_break_is_part_of_the_outage() -> None:
    feed = Followed()
    feed.subscribe(BTCUSD=[1], ETHUSD=[1])
    gap = feed.now
    feed.now += 5 * SECOND
    feed.trade("BTCUSD", 3)
    downs = {symbol: event.time for event in feed.stream.broken("cut") for symbol in event.symbols}
    assert downs == {"BTCUSD": gap, "ETHUSD": feed.now - PATIENCE}
    feed.now += SECOND
    events = feed.subscribe(BTCUSD=[1, 2, 3, 4], ETHUSD=[1])
    assert ids(events) == [2, 4]
    assert {event.time for event in events if isinstance(event, FeedUp)} == set(downs.values())


@pytest.mark.parametrize("ahead", [timedelta(seconds=-4), timedelta(0), timedelta(seconds=40)])
def test_times_are_krakens_whatever_our_clock_says(ahead: timedelta) -> None:
    """A heartbeat must not make minutes final of which Kraken still has trades to tell."""
    feed = Followed()
    feed.stream.connected()
    kraken = START - ahead
    for symbol in SPELLINGS:
        feed.send(ack(symbol, kraken))
        feed.send({"channel": "trade", "type": "snapshot", "data": [trade(symbol, 1, kraken)]})
    (said,) = feed.send(HEARTBEAT)
    assert said.time == START - max(ahead, timedelta(0))
    (down,) = feed.stream.broken("cut")
    assert down.time <= min(kraken, START) - PATIENCE


def test_events_wait_until_all_symbols_are_up_and_come_in_the_order_of_time() -> None:
    feed = Followed()
    feed.subscribe(BTCUSD=[1], ETHUSD=[1])
    feed.stream.broken("cut")
    feed.now += 30 * SECOND
    assert feed.subscribe(BTCUSD=[1, 2, 3]) == []
    assert feed.trade("BTCUSD", 4) == []
    rows = [trade("ETHUSD", number, feed.now - (5 - number) * SECOND) for number in (1, 2, 3)]
    events = feed.send({"channel": "trade", "type": "snapshot", "data": rows})
    assert [event.time for event in events] == sorted(event.time for event in events)
    assert sorted(ids(events)) == [2, 2, 3, 3, 4]


def test_others_go_ahead_of_a_symbol_that_does_not_come_up() -> None:
    feed = Followed()
    feed.stream.connected()
    feed.send(ack("BTCUSD", feed.now))
    feed.send({"channel": "trade", "type": "snapshot", "data": [trade("BTCUSD", 1, feed.now)]})
    assert feed.stream.unanswered() == []
    events = feed.quiet(SETTLING // SECOND)
    assert [event.symbols for event in events if isinstance(event, FeedUp)] == [{"BTCUSD"}]
    assert feed.stream.symbols_down == {"ETHUSD"}
    second_versions = [json.loads(request)["params"]["symbol"] for request in feed.stream.unanswered()]
    assert second_versions == [["ETH/USD"], ["ETH/USD"]]
    rejection = {"method": "subscribe", "success": False, "error": "Already subscribed", "symbol": "ETH/USD"}
    assert feed.send({**rejection, "req_id": 2}) == []
    (up,) = feed.send({**rejection, "req_id": 1})
    assert up.symbols == {"ETHUSD"}


def test_a_refused_pair_is_told_and_does_not_hold_up_the_others() -> None:
    feed = Followed()
    feed.stream.connected()
    rejection = {"error": "Currency pair not supported ETH/USD", "method": "subscribe", "success": False}
    feed.send({**rejection, "symbol": "ETH/USD", "req_id": 1})
    feed.send(ack("BTCUSD", feed.now))
    events = feed.send({"channel": "trade", "type": "snapshot", "data": [trade("BTCUSD", 1, feed.now)]})
    (down,) = [event for event in events if isinstance(event, FeedDown)]
    assert down.symbols == {"ETHUSD"}
    assert "Currency pair not supported ETH/USD" in down.reason
    assert [event.symbols for event in events if isinstance(event, FeedUp)] == [{"BTCUSD"}]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b'{"channel":"tick', Reason.UNSUPPORTED),
        (b"\xff\xfe", Reason.UNSUPPORTED),
        (b"[" * 100_000, Reason.UNSUPPORTED),
        (b"[]", Reason.UNSUPPORTED),
        (b"null", Reason.UNSUPPORTED),
        (b'{"channel":"weather"}', Reason.UNSUPPORTED),
        (b'{"channel":{}}', Reason.UNSUPPORTED),
        (b'{"channel":"ticker"}', Reason.MISSING_VALUE),
        (b'{"channel":"trade","type":"update","data":7}', Reason.UNSUPPORTED),
        (b'{"channel":"trade","type":"update","data":[[]]}', Reason.UNSUPPORTED),
        (b'{"channel":"trade","type":"update","data":[{"trade_id":' + b"9" * 5000 + b"}]}", Reason.UNSUPPORTED),
        (b'{"channel":"heartbeat","x":1e99999999999999999999}', Reason.UNSUPPORTED),
        (quote("BTCUSD", START, bid=float("nan")), Reason.UNSUPPORTED),
        (quote("BTCUSD", START, bid="100"), Reason.UNREADABLE_NUMBER),
        (quote("BTCUSD", START, bid=True), Reason.UNREADABLE_NUMBER),
        (quote("BTCUSD", START, bid=None), Reason.UNREADABLE_NUMBER),
        (quote("BTCUSD", START, ask=0), Reason.NON_POSITIVE_PRICE),
        (quote("BTCUSD", START, ask=-1.5), Reason.NON_POSITIVE_PRICE),
        (quote("BTCUSD", START, last=1e50), Reason.OUT_OF_RANGE),
        (quote("BTCUSD", START, last=1e300), Reason.OUT_OF_RANGE),
        (quote("BTCUSD", START, volume=-1), Reason.NEGATIVE_VOLUME),
        (quote("BTCUSD", START, symbol="DOGE/USD"), Reason.UNSUPPORTED),
        (quote("BTCUSD", START, symbol=["BTC/USD"]), Reason.UNSUPPORTED),
        (quote("BTCUSD", START, timestamp="yesterday"), Reason.UNREADABLE_TIME),
        (quote("BTCUSD", START, timestamp="2025-03-04T15:00:00"), Reason.UNREADABLE_TIME),
        (quote("BTCUSD", START, timestamp="9999-12-31T23:59:59.999999-23:59"), Reason.UNREADABLE_TIME),
        (quote("BTCUSD", START, timestamp=1741100400), Reason.UNREADABLE_TIME),
        ({"channel": "trade", "type": "update", "data": [trade("BTCUSD", -1, START)]}, Reason.UNREADABLE_NUMBER),
        ({"method": "subscribe", "success": True, "result": {"symbol": "BTC/USD"}}, Reason.MISSING_VALUE),
        ({"method": "subscribe", "success": True, "result": 5}, Reason.UNSUPPORTED),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_reason(message: Any, reason: Reason) -> None:
    feed = Followed()
    feed.subscribe(BTCUSD=[1], ETHUSD=[1])
    before = feed.stream.counts.accepted
    assert feed.send(message) == []
    (rejected,) = feed.rejected
    assert rejected.reason is reason
    assert rejected.source == "kraken"
    assert rejected.record
    counts = feed.stream.counts
    assert (counts.accepted, counts.rejected, counts.received) == (before, 1, before + 1)
    assert len(feed.send(quote("BTCUSD", feed.now))) == 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
field_names = st.sampled_from(
    "channel type data symbol bid ask last volume timestamp price qty trade_id method success result error".split()
)
likely = st.sampled_from(
    ["ticker", "trade", "heartbeat", "status", "update", "snapshot", "subscribe", "pong", "BTC/USD", "ETH/USD",
     "2025-03-04T15:00:00Z", "Already subscribed", 1, 2, 100.5, True, False, None]
)  # fmt: skip
rows = st.dictionaries(field_names, likely | json_values, max_size=10)
messages = st.dictionaries(field_names, likely | rows | st.lists(rows, max_size=3) | json_values, max_size=8)


@pytest.mark.slow
@settings(max_examples=examples(250))
@given(st.lists(messages | json_values | st.binary(max_size=60), max_size=12))
def test_nothing_that_is_sent_fails(received: list[Any]) -> None:
    feed = Followed()
    feed.stream.connected()
    for message in received:
        feed.send(message, after=SECOND)
    counts = feed.stream.counts
    assert counts.received == len(received) == counts.accepted + counts.rejected
    assert len(feed.rejected) == counts.rejected


def recorded(test_data: Path) -> list[bytes]:
    """Messages of both versions of the protocol, and live ones of the pairs followed."""
    payloads = test_data / "payloads"
    found = [path.read_bytes() for path in sorted((payloads / "nautilus_kraken").glob("ws_*.json"))]
    found += [
        json.dumps(row).encode() for row in json.loads((payloads / "python_kraken_sdk/orderbook-v2.json").read_text())
    ]
    for path in sorted((payloads / "cryptofeed").glob("KRAKEN.ws.*")):
        lines = [line.partition(b": ")[2] for line in path.read_bytes().splitlines()]
        found += [line for line in lines[:60] if 0 < len(line) < 3_000]
    own = [
        ack("BTCUSD", START),
        ack("ETHUSD", START, "ticker"),
        HEARTBEAT,
        quote("BTCUSD", START),
        quote("ETHUSD", START),
    ]
    own += [{"channel": "trade", "type": kind, "data": [trade("BTCUSD", 5, START), trade("ETHUSD", 6, START)]}
            for kind in ("update", "snapshot")]  # fmt: skip
    return found + [json.dumps(message).encode() for message in own for _ in range(30)]


def mutated(message: bytes, chance: random.Random) -> bytes:
    content = bytearray(message)
    for _ in range(chance.choice((0, 1, 1, 2, 5, 30))):
        at = chance.randrange(len(content) or 1)
        match chance.randrange(5):
            case 0:
                content[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                content[at : at + chance.randrange(20)] = b""
            case 2:
                content[at:at] = content[at : at + chance.randrange(50)]
            case 3:
                content[at:at] = chance.choice((b"null", b"-", b"9" * 30, b"1e400", b'"', b"{", b"[[", b"\x00", b"NaN"))
            case _:
                content[at:] = b""
    return bytes(content)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_hundred_thousand_mangled_messages_leave_nothing_behind(test_data: Path) -> None:
    chance = random.Random(20)
    seeds = recorded(test_data)
    feed = Followed()
    rejected = 0

    def count(_: RejectedMessage) -> None:
        nonlocal rejected
        rejected += 1

    feed.stream._on_rejected = count
    feed.stream.connected()
    tracemalloc.start()
    try:
        early = 0
        for number in range(100_000):
            feed.now += timedelta(milliseconds=50)
            feed.stream.receive(mutated(chance.choice(seeds), chance))
            if number % 1_000 == 999:
                feed.stream.broken("cut")
                feed.stream.connected()
            if number == 20_000:
                early = tracemalloc.get_traced_memory()[0]
        late = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    counts = feed.stream.counts
    assert counts.received == 100_000 == counts.accepted + counts.rejected
    assert counts.rejected == rejected
    assert min(counts.accepted, counts.rejected) > 10_000
    assert late - early < 500_000


def test_waits_grow_to_a_minute_and_begin_again_only_after_a_lasting_connection() -> None:
    plain = Backoff(jitter=lambda: 0.0)
    assert [plain.next_wait() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    plain.ended(stood=29.0)
    assert plain.next_wait() == 60
    plain.ended(stood=30.0)
    assert plain.next_wait() == 1
    shortest = Backoff(jitter=lambda: 0.999999)
    assert [round(shortest.next_wait()) for _ in range(8)] == [1, 1, 2, 4, 8, 16, 30, 30]


@example([30.0, 0.0, 0.0, 0.0, 0.0], random.Random(0))
@given(st.lists(st.floats(0, 120), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_ten_minutes_see_few_attempts_however_connections_end(stands: list[float], chance: random.Random) -> None:
    """About 150 attempts in ten minutes are said to get an address banned."""
    backoff, timestamp, attempts = Backoff(jitter=chance.random), 0.0, []
    for stood in stands * (400 // len(stands)):
        attempts.append(timestamp)
        backoff.ended(stood)
        timestamp += stood + backoff.next_wait()
    for index, first in enumerate(attempts):
        assert sum(1 for other in attempts[index : index + 200] if other < first + 600) <= 75


def test_messages_of_an_earlier_time_and_their_delay_are_counted() -> None:
    feed = Followed()
    feed.subscribe(BTCUSD=[1], ETHUSD=[1])
    feed.stream.take_delay()
    assert feed.stream.take_delay() is None, "nothing has come since"
    feed.now += 20 * SECOND
    feed.trade("BTCUSD", 2, at=feed.now - 7 * SECOND)
    feed.send(quote("ETHUSD", feed.now - 7 * SECOND - PATIENCE))
    assert feed.stream.counts.late == 0, "the patience is for who sends in two ways"
    feed.send(quote("ETHUSD", feed.now - 8.5 * SECOND))
    feed.trade("BTCUSD", 3, at=feed.now - 9 * SECOND)
    assert feed.stream.counts.late == 2
    assert feed.stream.take_delay() == 7.0
    feed.quiet(3)
    assert feed.stream.take_delay() is None, "a heartbeat has no time"
