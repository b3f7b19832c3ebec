"""Minute bars on event time: what becomes of single events, minutes and outages."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pytest
from feed_events import ALL, BASIS, GRACE, MINUTE, NOON, UP, Emitted, at, builder, quote, rows_of, run, trade

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.live.bar_builder import BarBuilder
from trading_platform.domain.market.live.bar_series import Basis
from trading_platform.domain.market.live.events import Event, FeedDown, FeedUp, Heartbeat, Quote, Trade
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.time import Window


def test_a_minute_is_final_a_grace_after_its_end_by_the_feeds_own_time() -> None:
    made = builder()
    made.add(UP)
    made.add(trade(10, "100"))
    made.add(Heartbeat(at(64.999)))
    assert made.take_final() is None
    made.add(Heartbeat(at(65)))
    final = made.take_final()
    assert final is not None
    assert (final.since, final.until) == (NOON, NOON + MINUTE)
    assert rows_of(final.bars) == [(NOON, "BTCUSD", *[Decimal(100)] * 4, Decimal(1))]
    assert final.bars.select("timeframe", "source", "quality").row(0) == ("1m", "kraken", "traded")
    assert final.covered == {symbol: [Window(NOON, NOON + MINUTE)] for symbol in BASIS}
    assert made.take_final() is None


def test_a_late_event_is_in_no_bar_and_its_minute_is_named() -> None:
    emitted = run([UP, trade(1, "10"), Heartbeat(at(70)), trade(59, "99"), trade(58, "98"), Heartbeat(at(130))])
    assert [row[2:6] for row in emitted.rows] == [(Decimal(10),) * 4]
    assert emitted.late == {"BTCUSD": [Window(NOON, NOON + MINUTE)]}
    assert emitted.late_events == 2


def test_a_silent_minute_after_a_late_trade_has_no_known_price() -> None:
    """The late trade may be the last one, and nobody knows its minute's close until it was requested."""
    begin = [UP, trade(1, "10"), Heartbeat(at(70))]
    for learnt in ([trade(59, "99")], [FeedDown(at(50), ALL, "a trade is missing"), FeedUp(at(51), ALL)]):
        emitted = run([*begin, *learnt, Heartbeat(at(200)), trade(201, "11"), Heartbeat(at(310))], fill=True)
        first, last = [(row[0], row[5]) for row in emitted.rows if row[0] < at(180)], emitted.rows[-1]
        assert first == [(NOON, Decimal(10))]
        assert (last[0], last[5]) == (at(240), Decimal(11))
        assert emitted.late["BTCUSD"] == [Window(NOON, at(180))]


def test_a_late_quote_of_a_symbol_whose_bars_are_of_trades_is_not_late() -> None:
    emitted = run([UP, Heartbeat(at(70)), quote(5, "1", "2", "BTCUSD"), Heartbeat(at(130))])
    assert emitted.late == {}


def test_a_minute_without_feed_gives_no_bar_and_no_answer() -> None:
    down = FeedDown(at(90), frozenset({"BTCUSD"}), "silent")
    events: list[Event] = [
        UP,
        trade(10, "1"),
        trade(70, "2"),
        down,
        FeedUp(at(130), ALL),
        trade(131, "3"),
        trade(185, "4"),
    ]
    emitted = run([*events, Heartbeat(at(300))])
    assert [(row[0], row[2]) for row in emitted.rows] == [(NOON, Decimal(1)), (at(180), Decimal(4))]
    assert emitted.covered["BTCUSD"] == [Window(NOON, at(60)), Window(at(180), at(240))]
    assert emitted.covered["EURUSD"] == [Window(NOON, at(240))]


def test_an_outage_known_after_its_minutes_were_final_takes_them_back() -> None:
    emitted = run([UP, Heartbeat(at(200)), FeedDown(at(100), frozenset({"EURUSD"}), "silent"), Heartbeat(at(400))])
    assert emitted.late == {"EURUSD": [Window(at(60), at(180))]}
    assert emitted.late_events == 0


def test_an_outage_that_the_source_made_good_is_none() -> None:
    down = FeedDown(at(30), ALL, "cut")
    emitted = run(
        [UP, trade(20, "1", trade_id=7), down, FeedUp(at(30), ALL), trade(40, "2", trade_id=8), Heartbeat(at(70))]
    )
    assert [row[5] for row in emitted.rows] == [Decimal(2)]
    assert emitted.covered["BTCUSD"] == [Window(NOON, at(60))]


def test_minutes_that_became_final_during_an_outage_stay_in_it() -> None:
    """A source that says afterwards that nothing was missing is too late for them: they have neither bar nor answer."""
    made, emitted = builder(fill=True), Emitted()
    one = frozenset({"BTCUSD"})
    down, up = FeedDown(at(50), one, "rejected"), FeedUp(at(50.1), one)
    for event in (
        UP,
        trade(20, "1"),
        down,
        Heartbeat(at(190)),
        up,
        trade(191, "2"),
        Heartbeat(at(250)),
        trade(251, "3"),
    ):
        made.add(event)
        emitted.take(made.take_final())
    changes = [(type(change), change.time) for change in made.take_changes() if change.symbols == one]
    assert changes[-2:] == [(FeedDown, at(50)), (FeedUp, at(180))]
    assert [row[0] for row in emitted.rows if row[1] == "BTCUSD"] == [at(180)]
    assert emitted.covered["BTCUSD"] == [Window(at(180), at(240))]


def test_trades_of_before_the_feed_was_up_are_neither_bars_nor_late() -> None:
    made = builder()
    snapshot = [trade(-400 + index, "5", trade_id=index) for index in range(50)]
    emitted = Emitted()
    events: list[Event] = [FeedUp(at(20), ALL), *snapshot, trade(61, "6", trade_id=50), Heartbeat(at(130))]
    for event in events:
        made.add(event)
        emitted.take(made.take_final())
    assert [row[0] for row in emitted.rows] == [at(60)]
    assert emitted.late == {}
    assert made.counts.early == 50


def test_a_trade_sent_again_counts_once() -> None:
    first = [trade(index, "1", trade_id=100 + index) for index in range(5)]
    made = builder()
    events: list[Event] = [UP, *first, *first, trade(6, "1", trade_id=105), *reversed(first), Heartbeat(at(65))]
    for event in events:
        made.add(event)
    final = made.take_final()
    assert final is not None
    assert final.bars["volume"].to_list() == [Decimal(6)]
    assert made.counts.duplicates == 10
    assert final.late_events == 0


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (trade(1, "0"), Reason.NON_POSITIVE_PRICE),
        (trade(1, "-5"), Reason.NON_POSITIVE_PRICE),
        (trade(1, "0.000000005"), Reason.TOO_FINE),
        (trade(1, "9999999999.999999995"), Reason.OUT_OF_RANGE),
        (trade(1, "NaN"), Reason.UNREADABLE_NUMBER),
        (trade(1, "sNaN"), Reason.UNREADABLE_NUMBER),
        (trade(1, "Infinity"), Reason.OUT_OF_RANGE),
        (trade(1, "1", "-1"), Reason.NEGATIVE_VOLUME),
        (trade(1, "1", "1E+16"), Reason.OUT_OF_RANGE),
        (trade(1, "1", "NaN"), Reason.UNREADABLE_NUMBER),
        (quote(1, "0", "2"), Reason.NON_POSITIVE_PRICE),
        (quote(1, None, "NaN"), Reason.UNREADABLE_NUMBER),
        (Quote("EURUSD", at(1), Decimal(1), Decimal(2), volume=Decimal(-1)), Reason.NEGATIVE_VOLUME),
        (Quote("EURUSD", at(1), Decimal(1), Decimal(2), last=Decimal(-1)), Reason.NON_POSITIVE_PRICE),
        (Trade("DOGE", at(1), Decimal(1), Decimal(1)), Reason.UNSUPPORTED),
        (Trade("BTCUSD", at(1).replace(tzinfo=None), Decimal(1), Decimal(1)), Reason.UNREADABLE_TIME),
        (trade(40, "1"), Reason.FUTURE_TIME),
        (Heartbeat(datetime.max.replace(tzinfo=UTC)), Reason.FUTURE_TIME),
        (Heartbeat(datetime.min.replace(tzinfo=UTC)), Reason.OUT_OF_RANGE),
    ],
)
def test_what_breaks_a_rule_is_refused_with_its_reason(event: Event, reason: Reason) -> None:
    made = builder()
    made.add(UP, received=at(2))
    made.add(event, received=at(2))
    assert [(each.event, each.reason) for each in made.take_rejected()] == [(event, reason)]
    assert made.take_rejected() == []
    assert (made.counts.received, made.counts.accepted, made.counts.rejected) == (2, 1, 1)
    assert made.watermark == NOON


def test_a_volume_that_does_not_fit_is_refused() -> None:
    made = builder()
    for event in (UP, trade(1, "1", "9E+15"), trade(2, "7", "9E+15"), Heartbeat(at(70))):
        made.add(event)
    assert [each.reason for each in made.take_rejected()] == [Reason.OUT_OF_RANGE]
    final = made.take_final()
    assert final is not None
    assert rows_of(final.bars) == [(NOON, "BTCUSD", *[Decimal(1)] * 4, Decimal("9E+15"))]


def test_a_clock_that_is_ahead_does_not_make_minutes_final_early() -> None:
    made = builder()
    made.add(UP, received=NOON)
    made.add(trade(66, "1"), received=at(62))
    assert made.take_final() is None
    assert made.watermark == at(62)


def test_state_is_refused_while_minutes_wait_and_belongs_to_its_bars() -> None:
    made = builder()
    made.add(UP)
    made.add(Heartbeat(at(100)))
    with pytest.raises(InvalidRequest, match="have not been taken"):
        made.state()
    made.take_final()
    state = made.state()
    others = [
        BarBuilder("ibkr", basis=BASIS, grace=GRACE),
        BarBuilder("kraken", basis=BASIS),
        BarBuilder("kraken", basis=BASIS | {"BTCUSD": Basis.MID}, grace=GRACE),
    ]
    for other in others:
        with pytest.raises(InvalidRequest, match="other bars"):
            other.restore(state)
    fewer = BarBuilder("kraken", basis={"BTCUSD": Basis.TRADE}, grace=GRACE)
    fewer.restore(state)
    assert list(fewer.state()["series"]) == ["BTCUSD"]


def test_a_state_of_version_1_is_restored() -> None:
    made = builder()
    made.add(UP)
    made.add(Trade("BTCUSD", at(30), Decimal(7), Decimal(2), 1))
    made.add(Heartbeat(at(130)))
    made.take_final()
    state = made.state()
    former = json.loads(json.dumps(state))
    former["version"] = 1
    former["fill_silent"] = former.pop("fill_no_trade")
    former["counts"]["refused"] = former["counts"].pop("rejected")
    for series in former["series"].values():
        series["told_until"] = series.pop("emitted_until")
    restored = builder()
    restored.restore(former)
    assert restored.state() == state


def test_a_closed_stream_leaves_nothing_open() -> None:
    made = builder()
    for event in (UP, trade(1, "3"), trade(61, "4")):
        made.add(event)
    made.close()
    final = made.take_final()
    assert final is not None
    assert final.until == at(120)
    assert final.bars["close"].to_list() == [Decimal(3), Decimal(4)]
    made.close()
    assert made.take_final() is None


@pytest.mark.exhaustive
def test_memory_does_not_grow_with_the_length_of_the_stream() -> None:
    made, chance, sizes = builder(), random.Random(3), []
    made.add(UP)
    for index in range(60_000):
        made.add(trade(index, str(chance.randint(1, 99)), trade_id=index), offset=index)
        if made.take_final() is not None:
            sizes.append(len(json.dumps(made.state())))
    assert max(sizes) < 1.1 * min(sizes) + 100


def test_a_minute_with_a_price_that_cannot_be_stored_has_no_bar() -> None:
    """Without the trade at 0.000000971 the minute's low would be wrong."""
    fine = trade(70, "0.000000971")
    for fill in (False, True):
        made = builder(fill=fill)
        trades = [trade(10, "0.00000100"), trade(65, "0.00000099"), fine, fine, trade(130, "0.00000098")]
        for event in [UP, *trades, Heartbeat(at(200))]:
            made.add(event)
        final = made.take_final()
        assert final is not None
        assert final.bars.filter(pl.col("symbol") == "BTCUSD")["time"].to_list() == [NOON, NOON + 2 * MINUTE]
        minutes = [Window(NOON, NOON + MINUTE), Window(NOON + 2 * MINUTE, NOON + 3 * MINUTE)]
        assert Window.merge(final.covered["BTCUSD"]) == minutes
        assert made.counts.cut == 1
        assert [each.reason for each in made.take_rejected()] == [Reason.TOO_FINE] * 2


def test_a_middle_that_cannot_be_stored_makes_no_bar() -> None:
    made = builder()
    quotes = [quote(10, "0.00002654", "0.00002656"), quote(70, "0.00002654", "0.00002655")]
    for event in [UP, *quotes, Heartbeat(at(200))]:
        made.add(event)
    final = made.take_final()
    assert final is not None
    bars = final.bars.filter(pl.col("symbol") == "EURUSD")
    assert bars.select("time", "close").rows() == [(NOON, Decimal("0.00002655"))]
    assert [each.reason for each in made.take_rejected()] == [Reason.TOO_FINE]
