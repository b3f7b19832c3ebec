"""The bars of a feed against their definition, written plainly: any events, cut and restarted anywhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from typing import Any

from feed_events import ALL, BASIS, GRACE, MINUTE, SECOND, Emitted, Row, at, builder, minutes_in, run
from hypothesis import given
from hypothesis import strategies as st

from trading_platform.domain.market.live.bar_series import Basis
from trading_platform.domain.market.live.events import Event, FeedDown, FeedUp, Heartbeat, Quote, Trade

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
