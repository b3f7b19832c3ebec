"""Minute bars on event time: against an independent definition, and however the stream is cut or restarted."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.bar_builder import BarBuilder
from trading_platform.domain.market.bar_series import Basis
from trading_platform.domain.market.bars import BAR_SCHEMA
from trading_platform.domain.market.events import Event, FeedDown, FeedUp, Heartbeat, Quote, Trade
from trading_platform.domain.market.final_minutes import FinalMinutes
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.time import Window

NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
GRACE = 5 * SECOND
BASIS = {"BTCUSD": Basis.TRADE, "EURUSD": Basis.MID, "GBPUSD": Basis.BID}
ALL = frozenset(BASIS)
UP = FeedUp(NOON, ALL)

Row = tuple[datetime, str, Decimal, Decimal, Decimal, Decimal, Decimal | None]


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def trade(seconds: float, price: str, quantity: str = "1", trade_id: int | None = None) -> Trade:
    return Trade("BTCUSD", at(seconds), Decimal(price), Decimal(quantity), trade_id)


def quote(seconds: float, bid: str | None, ask: str | None, symbol: str = "EURUSD") -> Quote:
    return Quote(symbol, at(seconds), None if bid is None else Decimal(bid), None if ask is None else Decimal(ask))


def builder(*, fill: bool = False) -> BarBuilder:
    return BarBuilder("kraken", basis=BASIS, grace=GRACE, fill_no_trade=fill)


@dataclass
class Emitted:
    """All that came of a stream, in a form that does not depend on how it was cut."""

    rows: list[Row] = field(default_factory=list)
    covered: dict[str, list[Window]] = field(default_factory=dict)
    late: dict[str, list[Window]] = field(default_factory=dict)
    late_events: int = 0
    ends: list[datetime] = field(default_factory=list)

    def take(self, made: FinalMinutes | None) -> None:
        if made is None:
            return
        assert made.since < made.until
        assert not self.ends or made.since == self.ends[-1]
        assert made.bars.schema == pl.Schema(BAR_SCHEMA)
        found = rows_of(made.bars)
        assert found == sorted(found, key=lambda row: (row[1], row[0]))
        self.rows += found
        for kept, new in ((self.covered, made.covered), (self.late, made.late)):
            for symbol, windows in new.items():
                kept[symbol] = Window.merge([*kept.get(symbol, []), *windows])
        self.late_events += made.late_events
        self.ends.append(made.until)

    def final(self) -> tuple[Any, ...]:
        assert len({row[:2] for row in self.rows}) == len(self.rows), "a bar came twice"
        return sorted(self.rows, key=lambda row: row[:2]), self.covered, self.late, self.late_events, self.ends[-1:]


def rows_of(bars: pl.DataFrame) -> list[Row]:
    return bars.select("time", "symbol", "open", "high", "low", "close", "volume").rows()


def run(events: Iterable[Event], *, fill: bool = False) -> Emitted:
    emitted, made = Emitted(), builder(fill=fill)
    for event in events:
        made.add(event)
        emitted.take(made.take_final())
    return emitted


# An independent definition, in as plain words as Python has: everything is looked at again for every minute.


def plainly(
    events: Sequence[Event], *, fill: bool
) -> tuple[list[Row], dict[str, set[datetime]], dict[str, set[datetime]]]:
    """Rows, answered minutes, and late minutes of a stream."""
    rows: list[Row] = []
    answered: dict[str, set[datetime]] = {symbol: set() for symbol in BASIS}
    late: dict[str, set[datetime]] = {symbol: set() for symbol in BASIS}
    final_at = _when_final(events)
    for symbol, basis in BASIS.items():
        prices, close = _prices(events, symbol, basis), None
        available_history = 60 if fill and basis is Basis.TRADE else 1  # silent minutes follow a trade alone
        late[symbol], learnt = _late(events, symbol, final_at, prices, available_history=available_history)
        before = -1
        for minute, position in final_at.items():
            if any(before < each <= position for each in learnt):
                close = None  # a price that may be later than the last one was not used
            before = position
            used = [each for each in prices if minute <= each[0] < minute + MINUTE and each[4] <= position]
            if _is_down(events[: position + 1], symbol, minute):
                close = None
                continue
            if used:
                rows.append(_row(symbol, basis, minute, used))
                close = rows[-1][5]
            elif fill and basis is Basis.TRADE:
                if close is None:  # nobody knows at which price nothing was traded
                    late[symbol].add(minute)
                    continue
                rows.append((minute, symbol, close, close, close, close, Decimal(0)))
            answered[symbol].add(minute)
    return sorted(rows, key=lambda row: row[:2]), answered, late


def _late(
    events: Sequence[Event], symbol: str, final_at: dict[datetime, int], prices: list[Any], available_history: int
) -> tuple[set[datetime], list[int]]:
    """Minutes of which a price, or an outage, came to be known when they were final; and the positions of these."""
    begins, found = min(final_at, default=datetime.max.replace(tzinfo=UTC)), set()
    learnt = []

    def was_final(minute: datetime, position: int) -> bool:
        return minute < begins or final_at.get(minute, len(events)) < position

    for time, _, _, _, position in prices:
        minute = time.replace(second=0, microsecond=0)
        ups = [event.time for event in events[:position] if isinstance(event, FeedUp) and symbol in event.symbols]
        if ups and minute + MINUTE > ups[0] and was_final(minute, position):
            following = [minute + index * MINUTE for index in range(available_history)]
            found |= {each for each in following if was_final(each, position)}
            learnt.append(position)
    down: datetime | None = datetime(1, 1, 1, tzinfo=UTC)
    for position, event in enumerate(events):
        if isinstance(event, FeedDown) and symbol in event.symbols and (down is None or event.time < down):
            minute, down = event.time.replace(second=0, microsecond=0), event.time
            learnt += [position] if was_final(minute, position) else []
            while was_final(minute, position):
                found.add(minute)
                minute += MINUTE
        elif isinstance(event, FeedUp) and symbol in event.symbols:
            down = None
    return found, learnt


def _when_final(events: Sequence[Event]) -> dict[datetime, int]:
    """Each minute with the position of the event that made it final."""
    final: dict[datetime, int] = {}
    first = minute = events[0].time.replace(second=0, microsecond=0)
    newest = first
    for position, event in enumerate(events):
        newest = max(newest, event.time)
        while minute + MINUTE + GRACE <= newest:
            final[minute] = position
            minute += MINUTE
    return final


def _prices(events: Sequence[Event], symbol: str, basis: Basis) -> list[tuple[datetime, int, Fraction, Fraction, int]]:
    """Time, order, price, quantity and position of what makes bars, each trade once."""
    prices, seen = [], set()
    bid = ask = None
    for position, event in enumerate(events):
        if getattr(event, "symbol", None) != symbol:
            continue
        if isinstance(event, Trade) and basis is Basis.TRADE and event.trade_id not in seen:
            seen.add(event.trade_id)
            order = event.trade_id or 0
            prices.append((event.time, order, Fraction(event.price), Fraction(event.quantity), position))
        if isinstance(event, Quote) and basis is not Basis.TRADE and (event.bid or event.ask):
            bid, ask = (event.bid or bid), (event.ask or ask)
            if basis is Basis.BID and bid:
                prices.append((event.time, position, Fraction(bid), Fraction(0), position))
            elif basis is Basis.MID and bid and ask:
                prices.append((event.time, position, (Fraction(bid) + Fraction(ask)) / 2, Fraction(0), position))
    return prices


def _is_down(events: Sequence[Event], symbol: str, minute: datetime) -> bool:
    """Whether the feed was down in any moment of the minute."""
    down: datetime | None = datetime(1, 1, 1, tzinfo=UTC)
    for event in events:
        if isinstance(event, FeedDown) and symbol in event.symbols:
            down = event.time if down is None else min(down, event.time)
        elif isinstance(event, FeedUp) and symbol in event.symbols and down is not None:
            if down < event.time and down < minute + MINUTE and event.time > minute:
                return True
            down = None
    return down is not None and down < minute + MINUTE


def _row(symbol: str, basis: Basis, minute: datetime, used: list[Any]) -> Row:
    ordered = sorted(used, key=lambda each: (each[0], each[1]))
    prices = [each[2] for each in ordered]
    volume = _decimal(sum((each[3] for each in ordered), Fraction(0))) if basis is Basis.TRADE else None
    four = (_decimal(price) for price in (prices[0], max(prices), min(prices), prices[-1]))
    return (minute, symbol, *four, volume)  # type: ignore[return-value]


def _decimal(value: Fraction) -> Decimal:
    scaled = Decimal(round(value * 10**8))  # Python rounds fractions half to even
    return scaled.scaleb(-8).quantize(Decimal("1E-8"), ROUND_HALF_EVEN)


# Streams of a few minutes in which time mostly goes on, sometimes jumps, and sometimes goes back.

_steps = st.sampled_from([0, 0.5, 1, 3, 7, 20, 59, 60, 130, -1, -4, -30, -90])
_prices_made = st.integers(1, 10**6).map(lambda number: Decimal(number) / 10**9 + Decimal("0.5"))
_some = st.frozensets(st.sampled_from(sorted(BASIS)), min_size=1)


@st.composite
def streams(draw: st.DrawFn) -> list[Event]:
    now = 0.0
    events: list[Event] = [FeedUp(at(draw(st.sampled_from([0, 12.5]))), draw(_some))]
    for number in range(draw(st.integers(1, 60))):
        now += draw(_steps)
        kind = draw(st.sampled_from(["trade"] * 5 + ["quote"] * 5 + ["again", "beat", "down", "up"]))
        if kind == "trade":
            quantity = Decimal(draw(st.integers(0, 10**9))) / 10**8
            events.append(Trade("BTCUSD", at(now), draw(_prices_made), quantity, number))
        elif kind == "quote":
            sides = (draw(st.none() | _prices_made), draw(st.none() | _prices_made))
            events.append(Quote(draw(st.sampled_from(["EURUSD", "GBPUSD"])), at(now), *sides))
        elif kind == "again":
            events += [event for event in events if isinstance(event, Trade)][-3:]
        elif kind == "beat":
            events.append(Heartbeat(at(now)))
        elif kind == "down":
            events.append(FeedDown(at(now), draw(_some), "cut"))
        else:
            events.append(FeedUp(at(now), draw(_some)))
    return events


def minutes_in(windows: dict[str, list[Window]]) -> dict[str, set[datetime]]:
    found: dict[str, set[datetime]] = {symbol: set() for symbol in BASIS}
    for symbol, several in windows.items():
        for window in several:
            count = (window.end - window.start) // MINUTE
            found[symbol] |= {window.start + index * MINUTE for index in range(count)}
    return found


@given(events=streams(), fill=st.booleans())
def test_bars_and_answers_are_those_of_the_plain_definition(events: list[Event], fill: bool) -> None:  # noqa: FBT001
    events.append(Heartbeat(at(20_000)))  # so that all is final
    emitted = run(events, fill=fill)
    rows, answered, late = plainly(events, fill=fill)
    assert emitted.final()[0] == rows
    assert minutes_in(emitted.covered) == answered
    assert minutes_in(emitted.late) == late


@given(events=streams(), fill=st.booleans(), data=st.data())
def test_cut_and_restarted_anywhere_it_is_the_same(
    events: list[Event],
    fill: bool,  # noqa: FBT001
    data: st.DataObject,
) -> None:
    events.append(Heartbeat(at(20_000)))  # so that all is final
    undisturbed = run(events, fill=fill).final()
    emitted, made, kept, position = Emitted(), builder(fill=fill), None, 0
    deaths = data.draw(st.lists(st.integers(0, len(events)), max_size=6))
    take_at = data.draw(st.sets(st.integers(0, len(events))))
    while position < len(events):
        made.add(events[position], offset=position)
        position += 1
        if position in take_at or position == len(events):
            final = made.take_final()
            if final is not None:  # bars and state are kept together, or not at all
                emitted.take(final)
                kept = json.dumps(made.state())
        if deaths and position >= deaths[0]:
            deaths.pop(0)
            made = builder(fill=fill)
            if kept is not None:
                made.restore(json.loads(kept))
            position = data.draw(st.integers(0, 0 if made.read is None else made.read + 1))  # some are fed again
    assert emitted.final() == undisturbed
    counts = made.counts
    assert counts.received == counts.accepted + counts.rejected + counts.duplicates + counts.repeated


@given(events=streams(), data=st.data())
def test_within_the_grace_order_does_not_matter(events: list[Event], data: st.DataObject) -> None:
    """Trades out of order by less than the grace give the bars of those in order."""
    trades = [event for event in events if isinstance(event, Trade)]
    ordered = sorted(trades, key=lambda event: (event.time, event.trade_id))
    delays = {id(event): data.draw(st.floats(0, GRACE.total_seconds() - 0.001)) for event in ordered}
    shuffled = sorted(ordered, key=lambda event: event.time + delays[id(event)] * SECOND)
    start, end = FeedUp(at(-600), ALL), Heartbeat(at(20_000))
    assert run([start, *shuffled, end]).final() == run([start, *ordered, end]).final()


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
