"""Bars from trades and from shorter bars, each against its plain definition over rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trading_platform.domain.market.bars import (
    BAR_SCHEMA,
    TRADE_SCHEMA,
    bars_from_trades,
    content_hash,
    empty_bars,
    final_bars,
    mark_gaps,
    roll_up,
)
from trading_platform.domain.time import Timeframe, Window

START = datetime(2024, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = Window(START, START + timedelta(hours=1))
TICK = Decimal("0.00000001")

prices = st.integers(1, 10**18 - 1).map(lambda units: units * TICK)
plain_prices = st.integers(1, 10**6).map(lambda cents: Decimal(cents) / 100)
quantities = st.integers(0, 10**12).map(lambda units: units * TICK)
trades = st.lists(st.tuples(st.integers(-120, 3700), prices, quantities), max_size=60).map(
    lambda rows: sorted(rows, key=lambda row: row[0])
)


def trade_frame(rows: Sequence[tuple[int, Decimal, Decimal]]) -> pl.DataFrame:
    return pl.DataFrame(
        [(START + timedelta(seconds=second), price, quantity) for second, price, quantity in rows],
        schema=TRADE_SCHEMA,
        orient="row",
    )


def bar(
    time: datetime, values: Sequence[Decimal], quality: str = "traded", symbol: str = "BTCUSD"
) -> dict[str, object]:
    return {
        "time": time,
        "symbol": symbol,
        "timeframe": "1m",
        **dict(zip(("open", "high", "low", "close", "volume"), values, strict=True)),
        "source": "kraken",
        "quality": quality,
    }


def frame_of(rows: Sequence[dict[str, object]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=BAR_SCHEMA)


def plain_bars(
    rows: Sequence[tuple[int, Decimal, Decimal]], last: Decimal | None, *, fill: bool
) -> list[tuple[datetime, Decimal, Decimal, Decimal, Decimal, Decimal, str]]:
    """The definition: minute by minute, from the trades inside it."""
    found = []
    for number in range(60):
        inside = [row for row in rows if number * 60 <= row[0] < (number + 1) * 60]
        timestamp = START + number * MINUTE
        if inside:
            paid = [row[1] for row in inside]
            volume = sum((row[2] for row in inside), Decimal(0))
            found.append((timestamp, paid[0], max(paid), min(paid), paid[-1], volume, "traded"))
            last = paid[-1]
        elif fill and last is not None:
            found.append((timestamp, last, last, last, last, Decimal(0), "no_trade"))
    return found


@pytest.mark.parametrize("fill", [True, False])
@given(rows=trades, previous=st.none() | prices)
def test_bars_from_trades_are_what_their_definition_says(
    *, fill: bool, rows: list[tuple[int, Decimal, Decimal]], previous: Decimal | None
) -> None:
    bars = bars_from_trades(
        trade_frame(rows),
        symbol="BTCUSD",
        timeframe=Timeframe.M1,
        source="kraken",
        window=HOUR,
        previous_close=previous,
        fill=fill,
    )
    assert dict(bars.schema) == BAR_SCHEMA
    assert bars.select("time", "open", "high", "low", "close", "volume", "quality").rows() == plain_bars(
        rows, previous, fill=fill
    )
    assert bars.select("symbol", "timeframe", "source").unique().rows() in ([], [("BTCUSD", "1m", "kraken")])


@given(trades)
def test_a_minute_does_not_depend_on_what_follows_it(rows: list[tuple[int, Decimal, Decimal]]) -> None:
    def bars_of(part: Sequence[tuple[int, Decimal, Decimal]], end: int) -> pl.DataFrame:
        return bars_from_trades(
            trade_frame(part),
            symbol="BTCUSD",
            timeframe=Timeframe.M1,
            source="kraken",
            window=Window(START, START + end * MINUTE),
        )

    half = [row for row in rows if row[0] < 1800]
    assert bars_of(half, 30).equals(bars_of(rows, 60).filter(pl.col("time") < START + 30 * MINUTE))


minute_bars = st.lists(
    st.tuples(st.integers(0, 1439), st.tuples(plain_prices, plain_prices, quantities), st.booleans()),
    max_size=40,
    unique_by=lambda row: row[0],
).map(sorted)


def frame_of_minutes(rows: Sequence[tuple[int, tuple[Decimal, Decimal, Decimal], bool]]) -> pl.DataFrame:
    midnight = START.replace(hour=0)
    return frame_of(
        [
            bar(
                midnight + minute * MINUTE,
                (first, max(first, last), min(first, last), last, volume),
                "no_trade" if silent else "traded",
            )
            for minute, (first, last, volume), silent in rows
        ]
    )


@given(minute_bars, st.sampled_from([Timeframe.M5, Timeframe.H1, Timeframe.D1]))
def test_rolled_up_bars_are_what_their_definition_says(
    rows: list[tuple[int, tuple[Decimal, Decimal, Decimal], bool]], timeframe: Timeframe
) -> None:
    length = timeframe.duration // MINUTE
    buckets: dict[int, list[tuple[int, tuple[Decimal, Decimal, Decimal], bool]]] = {}
    for row in rows:
        buckets.setdefault(row[0] // length, []).append(row)
    expected = []
    for number, inside in sorted(buckets.items()):
        traded = [row for row in inside if not row[2]]
        prices = [row[1] for row in traded or inside]
        expected.append(
            (
                START.replace(hour=0) + number * length * MINUTE,
                prices[0][0],
                max(max(each[:2]) for each in prices),
                min(min(each[:2]) for each in prices),
                prices[-1][1],
                sum((row[1][2] for row in inside), Decimal(0)),
                "traded" if traded else "no_trade",
            )
        )
    rolled = roll_up(frame_of_minutes(rows), timeframe)
    assert dict(rolled.schema) == BAR_SCHEMA
    assert rolled.select("time", "open", "high", "low", "close", "volume", "quality").rows() == expected


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        ("100- 103 104 103 102", (103, 104, 102, 102, "traded")),
        ("100- 100- 97 98 98-", (97, 98, 97, 98, "traded")),
        ("103 103- 101 101- 101-", (103, 103, 101, 101, "traded")),
        ("100- 100- 100- 100- 100-", (100, 100, 100, 100, "no_trade")),
        ("99- 105", (105, 105, 105, 105, "traded")),
    ],
)
@pytest.mark.parametrize("timeframe", [Timeframe.M5, Timeframe.H1, Timeframe.D1])
def test_the_carried_price_of_a_minute_without_trades_is_no_price_of_a_longer_bar(
    minutes: str, expected: tuple[int, int, int, int, str], timeframe: Timeframe
) -> None:
    """Minutes of one price each; a dash marks those without a trade."""
    rows = [
        bar(START + number * MINUTE, [Decimal(text.rstrip("-"))] * 4 + [Decimal(0 if text[-1] == "-" else 1)])
        | {"quality": "no_trade" if text[-1] == "-" else "traded"}
        for number, text in enumerate(minutes.split())
    ]
    rolled = roll_up(frame_of(rows), timeframe)
    assert rolled.select("open", "high", "low", "close", "quality").rows() == [expected]


@given(minute_bars)
def test_rolling_up_in_steps_gives_what_one_step_gives(
    rows: list[tuple[int, tuple[Decimal, Decimal, Decimal], bool]],
) -> None:
    minutes = frame_of_minutes(rows)
    assert roll_up(roll_up(minutes, Timeframe.M5), Timeframe.H1).equals(roll_up(minutes, Timeframe.H1))


def test_only_bars_inside_a_session_make_its_daily_bar() -> None:
    midnight = datetime(2024, 3, 1, tzinfo=UTC)
    session = pl.DataFrame(
        {
            "session": [midnight],
            "open": [midnight + timedelta(hours=14, minutes=30)],
            "close": [midnight + timedelta(hours=21)],
        }
    )
    stamps = ["14:29", "14:30", "20:59", "21:00"]
    values = {"14:29": 1, "14:30": 2, "20:59": 3, "21:00": 4}
    rows = [
        bar(datetime.fromisoformat(f"2024-03-01T{stamp}:00+00:00"), [Decimal(values[stamp])] * 5) for stamp in stamps
    ]
    (daily,) = roll_up(frame_of(rows), Timeframe.D1, session).iter_rows(named=True)
    assert (daily["time"], daily["open"], daily["high"], daily["low"], daily["close"], daily["volume"]) == (
        midnight,
        2,
        3,
        2,
        3,
        5,
    )


def test_an_unknown_volume_does_not_become_a_number_of_bars() -> None:
    rows = [bar(START + number * MINUTE, [Decimal(1)] * 5) | {"volume": None} for number in range(3)]
    assert roll_up(frame_of(rows), Timeframe.H1)["volume"].to_list() == [None]


@given(st.lists(st.tuples(plain_prices, plain_prices), min_size=1, max_size=12), st.none() | plain_prices)
@example([(Decimal("0.77"), Decimal("0.7"))], Decimal("0.7"))
@example([(Decimal("0.63"), Decimal("0.7"))], Decimal("0.7"))
def test_a_bar_is_marked_exactly_when_it_opens_more_than_a_tenth_from_the_close_before(
    rows: list[tuple[Decimal, Decimal]], previous: Decimal | None
) -> None:
    bars = frame_of(
        [
            bar(START + number * MINUTE, (first, max(first, last), min(first, last), last, Decimal(1)))
            for number, (first, last) in enumerate(rows)
        ]
    )
    before = [previous, *(last for _, last in rows)]
    expected = [
        "review" if close is not None and abs(first - close) * 10 > close else "traded"
        for (first, _), close in zip(rows, before[:-1], strict=True)
    ]
    marked = mark_gaps(bars, previous)
    assert marked["quality"].to_list() == expected
    assert marked.drop("quality").equals(bars.drop("quality"))


@pytest.mark.parametrize("quality", ["no_trade", "repaired"])
def test_only_traded_bars_are_judged(quality: str) -> None:
    bars = frame_of([bar(START, [Decimal(2)] * 5, quality)])
    assert mark_gaps(bars, Decimal(1))["quality"].to_list() == [quality]


def test_the_largest_and_smallest_prices_can_be_judged() -> None:
    largest = Decimal("9999999999.99999999")
    bars = frame_of(
        [bar(START, [largest] * 5), bar(START + MINUTE, [TICK] * 5), bar(START + 2 * MINUTE, [largest] * 5)]
    )
    assert mark_gaps(bars, TICK)["quality"].to_list() == ["review"] * 3


def test_a_running_bar_is_not_a_bar() -> None:
    bars = frame_of([bar(START + number * MINUTE, [Decimal(1)] * 5) for number in range(3)])
    at_the_end = final_bars(bars, Timeframe.M1, START + 2 * MINUTE)
    just_before = final_bars(bars, Timeframe.M1, START + 2 * MINUTE - timedelta(microseconds=1))
    assert (at_the_end.height, just_before.height) == (2, 1)


def test_equal_bars_have_equal_hashes_and_others_do_not() -> None:
    rows = [bar(START + number * MINUTE, [Decimal(number + 1)] * 5) for number in range(4)]
    bars = frame_of(rows)
    assert content_hash(bars) == content_hash(frame_of(list(reversed(rows))))
    for column, value in {"close": Decimal("1.00000001"), "volume": None, "quality": "review"}.items():
        assert content_hash(frame_of([rows[0] | {column: value}, *rows[1:]])) != content_hash(bars)
    assert content_hash(empty_bars()) != content_hash(bars)
