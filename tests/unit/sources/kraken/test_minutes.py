"""Minutes from pages of trades: however pages are cut, and wherever one is interrupted, the bars are the same."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import examples

from trading_platform.domain.errors import MalformedPayload
from trading_platform.domain.market.bars import TRADE_SCHEMA, Quality, bars_from_trades
from trading_platform.domain.time import Timeframe, Window
from trading_platform.sources.kraken.client import nanoseconds
from trading_platform.sources.kraken.cursor import TradesPage
from trading_platform.sources.kraken.minutes import MinuteCursor, advance

START = datetime(2025, 3, 1, tzinfo=UTC)
END = START + timedelta(minutes=12)
MICROSECOND = timedelta(microseconds=1)


def trades_at(seconds: list[float]) -> pl.DataFrame:
    times = sorted(START + timedelta(seconds=round(each, 3)) for each in seconds)
    count = len(times)
    return pl.DataFrame(
        {
            "time": times,
            "price": [Decimal(100 + (number * 37) % 11) for number in range(count)],
            "quantity": [Decimal(number % 5 + 1) / 4 for number in range(count)],
            "trade_id": range(1, count + 1),
            "nanoseconds": [nanoseconds(time) for time in times],
        },
        schema={**TRADE_SCHEMA, "trade_id": pl.Int64(), "nanoseconds": pl.Int64()},
    )


def pages_of(trades: pl.DataFrame, size: int) -> list[TradesPage]:
    cut = [trades[start : start + size] for start in range(0, trades.height, size)]
    pages = [
        TradesPage(rows, int(rows["nanoseconds"][-1]) - 1, int(rows["trade_id"][-1]), is_last=False) for rows in cut
    ]
    since, seen = (pages[-1].since, pages[-1].seen) if pages else (0, None)
    return [*pages, TradesPage(trades.clear(), since, seen, is_last=True)]


def step(cursor: MinuteCursor, page: TradesPage) -> tuple[pl.DataFrame, MinuteCursor]:
    accepted = page.rows.filter(pl.col("time") < END)
    return advance(cursor, page, accepted, "BTCUSD", END, nanoseconds(END))


def by_hand(trades: pl.DataFrame, close: Decimal | None) -> list[tuple[object, ...]]:
    """Bars by the definition, trade by trade."""
    rows: list[tuple[object, ...]] = []
    for number in range(12):
        minute = START + timedelta(minutes=number)
        inside = [
            (price, quantity)
            for time, price, quantity in trades.select("time", "price", "quantity").iter_rows()
            if minute <= time < minute + timedelta(minutes=1)
        ]
        if inside:
            prices = [price for price, _ in inside]
            close = prices[-1]
            volume = sum(quantity for _, quantity in inside)
            rows.append((minute, prices[0], max(prices), min(prices), close, volume, Quality.TRADED.value))
        elif close is not None:
            rows.append((minute, close, close, close, close, Decimal(0), Quality.NO_TRADE.value))
    return rows


@given(
    seconds=st.lists(st.floats(0, 800), max_size=120),
    size=st.integers(1, 40),
    known=st.booleans(),
    interrupted=st.sets(st.integers(0, 120)),
)
@settings(max_examples=examples(40), deadline=None)
def test_bars_are_those_of_the_definition_however_pages_are_cut_and_resumed(
    *, seconds: list[float], size: int, known: bool, interrupted: set[int]
) -> None:
    trades = trades_at(seconds)
    close = Decimal("99.5") if known else None
    cursor = MinuteCursor(START, 0, None, close, pl.DataFrame(schema=TRADE_SCHEMA))
    bars = []
    for number, page in enumerate(pages_of(trades, size)):
        if number in interrupted:  # what the platform keeps is JSON
            kept = MinuteCursor.of(json.loads(json.dumps(dict(cursor.point(cursor.position).token))))
            assert kept is not None
            cursor = kept
        page_bars, cursor = step(cursor, page)
        bars.append(page_bars)
        if cursor.position == END:
            break
    found = pl.concat(bars).select("time", "open", "high", "low", "close", "volume", "quality")
    assert found.rows() == by_hand(trades, close)
    if known or trades.filter(pl.col("time") < END).height:
        whole = bars_from_trades(
            trades, symbol="BTCUSD", timeframe=Timeframe.M1, source="kraken", window=Window(START, END),
            previous_close=close,
        )  # fmt: skip
        assert pl.concat(bars).equals(whole)


def test_whoever_goes_on_at_the_end_gets_the_trades_after_it() -> None:
    trades = trades_at([10, 700, 719.999, 720, 721, 800])
    _, cursor = step(MinuteCursor.beginning(START, 0), pages_of(trades, 100)[0])
    assert cursor.position == END
    assert cursor.since == nanoseconds(END) - 1
    assert cursor.seen == 3
    assert cursor.running.is_empty()


def test_a_trade_in_a_minute_that_had_ended_is_an_error() -> None:
    pages = pages_of(trades_at([10, 130]), 100)
    _, cursor = step(MinuteCursor.beginning(START, 0), pages[0])
    late = trades_at([20]).with_columns(trade_id=pl.lit(3, dtype=pl.Int64()))
    with pytest.raises(MalformedPayload, match="had ended"):
        step(cursor, TradesPage(late, 0, 3, is_last=False))


@pytest.mark.parametrize("token", [{}, {"position": "x"}, {"position": "2025-03-01T00:00:00+00:00", "since": "a"}])
def test_words_of_another_version_are_no_place_to_go_on(token: dict[str, object]) -> None:
    assert MinuteCursor.of(token) is None
