"""Replays of real ticks: the bars that others made of them, at any speed, cut and killed anywhere."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from properties import some_usual

from trading_platform.domain.errors import InvalidRequest, StoreUnavailable
from trading_platform.domain.market.bars import BAR_SCHEMA, PRICE, PRICES
from trading_platform.domain.market.live.bar_builder import BarBuilder
from trading_platform.domain.market.live.bar_series import MINUTE, Basis
from trading_platform.domain.market.live.events import FeedUp, Trade
from trading_platform.domain.market.live.final_minutes import FinalMinutes
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.time import Window
from trading_platform.sources.files.content.contents import open_contents
from trading_platform.sources.files.content.options import ImportOptions, PriceSide
from trading_platform.sources.files.reading import read_content
from trading_platform.streaming.replay.inputs import ReplayInput, open_inputs
from trading_platform.streaming.replay.recording import RecordingWriter
from trading_platform.streaming.replay.replay import ReplayReport, replay
from trading_platform.streaming.replay.sinks import MemorySink

EURUSD = "tick/EURUSD_oanda_ticks_2014-05.csv.gz"
VALUES = ["time", *PRICES]
PRESENT = datetime(2026, 11, 28, tzinfo=UTC)


def new_york(symbol: str) -> str:  # noqa: ARG001 - the zone of whatever symbol
    return "America/New_York"


def never(seconds: float) -> None:
    raise AssertionError(seconds)


def opened(path: Path, basis: Basis | None = None, symbol: str | None = None) -> ReplayInput:
    (found,) = open_inputs(path, basis=basis, options=ImportOptions(symbol=symbol), zone_of=new_york)
    return found


def replayed(source: ReplayInput, sink: MemorySink, minutes_at_once: int = 60) -> ReplayReport:
    return replay(source, sink, speed=None, clock=lambda: PRESENT, sleep=never, minutes_at_once=minutes_at_once)


def lean_bars(path: Path, side: str) -> pl.DataFrame:
    """LEAN's minutes of one side."""
    table = pl.read_csv(path, infer_schema=False)
    time = pl.col("time_utc").str.to_datetime(time_unit="us", time_zone="UTC").alias("time")
    return table.select(time, *(pl.col(f"{side}_{name}").cast(PRICE).alias(name) for name in PRICES))


def of_the_same_days(lean: pl.DataFrame, bars: pl.DataFrame) -> pl.DataFrame:
    return lean.filter(pl.col("time").dt.date().is_in(bars["time"].dt.date().unique().implode()))


@pytest.mark.parametrize("side", some_usual(["bid", "ask"]))
def test_ticks_of_eurusd_give_the_minutes_of_lean_in_every_value(test_data: Path, side: str) -> None:
    sink = MemorySink()
    report = replayed(opened(test_data / EURUSD, Basis(side)), sink)
    bars = sink.bars()
    lean = of_the_same_days(lean_bars(test_data / "minute/EURUSD_oanda_1m_2014-05_quote.csv.gz", side), bars)
    assert bars.height == lean.height == report.bars == 4_118
    assert bars.select(VALUES).equals(lean)
    assert report.counts.accepted == report.counts.received == 120_547


@pytest.mark.parametrize("side", some_usual(["bid", "ask"]))
def test_one_sided_quotes_of_ibm_give_the_minutes_of_lean(test_data: Path, side: str) -> None:
    """LEAN opens a bar of quotes at the close of the one before; from that on every value is equal."""
    sink = MemorySink()
    replayed(opened(test_data / "tick/IBM_2013-10-07_tick_quote.csv.gz", Basis(side)), sink)
    before = pl.col("close").shift(1)
    as_lean_opens = (
        sink.bars()
        .select(VALUES)
        .with_columns(
            open=pl.coalesce(before, "open"),
            high=pl.max_horizontal("high", before),
            low=pl.min_horizontal("low", before),
        )
    )
    assert as_lean_opens.equals(lean_bars(test_data / "minute/IBM_1m_2013-10-07_quote.csv.gz", side))
    assert [frame["reason"].to_list() for frame in sink.rejected] == [[Reason.UNSUPPORTED.value]]


def test_recorded_trades_of_kraken_give_its_candles(test_data: Path) -> None:
    payloads = test_data / "payloads" / "nautilus_kraken"
    trades = json.loads((payloads / "http_trades.json").read_text(), parse_float=Decimal)["result"]["XBTUSDT"]
    candles = json.loads((payloads / "http_ohlc.json").read_text())["result"]["XBTUSDT"]
    builder = BarBuilder("kraken", basis=Basis.TRADE)
    for number, (price, quantity, seconds, *_, trade_id) in enumerate(trades):
        time = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(seconds * 10**6))
        if number == 0:
            builder.add(FeedUp(time.replace(second=0, microsecond=0), frozenset({"BTCUSDT"})))
        builder.add(Trade("BTCUSDT", time, Decimal(price), Decimal(quantity), trade_id))
    builder.close()
    final = builder.take_final()
    assert final is not None
    asked = {datetime.fromtimestamp(candle[0], UTC): candle for candle in candles if candle[7] > 0}
    minutes = final.bars.rows(named=True)[1:]  # the first trade lies in the middle of the first minute
    last = minutes.pop()["time"]
    assert len(minutes) > 190
    for bar in minutes:
        candle = [Decimal(text) for text in asked[bar["time"]][1:5]]
        assert [bar[name] for name in PRICES] == candle
        assert bar["volume"] == Decimal(asked[bar["time"]][6])
    traded = {time for time in asked if minutes[0]["time"] <= time < last}
    assert {bar["time"] for bar in minutes} == traded
    assert final.covered["BTCUSDT"] == [Window(final.since, last + MINUTE)]


@pytest.mark.parametrize(
    ("file", "price"),
    some_usual(
        [
            ("tick/quote_tick_data.csv", PriceSide.ASK),
            ("tick/IBM_2013-10-07_tick_trade.csv.gz", PriceSide.MID),
            ("tick/IBM_2013-10-07_tick_quote.csv.gz", PriceSide.MID),
            ("tick/USDJPY_truefx_ticks.csv", PriceSide.BID),
            ("tick/lean_original/forex_oanda_tick_eurusd_20140505_quote.zip", PriceSide.MID),
        ],
        usual=2,
    ),
)
def test_a_replay_gives_the_bars_of_an_import(test_data: Path, file: str, price: PriceSide) -> None:
    (content,) = open_contents(test_data / file)
    imported = read_content(content, ImportOptions(symbol="XY", price=price), now=PRESENT, zone_of=new_york).bars
    sink = MemorySink()
    replayed(opened(test_data / file, None if "trade" in file else Basis(price.value), "XY"), sink)
    both_known = imported.filter(pl.col("time") >= sink.bars()["time"][0])  # a mid needs both sides
    assert imported.height - both_known.height <= 1
    columns = list(BAR_SCHEMA)
    assert sink.bars().select(columns).equals(both_known.select(columns))


class _Away(MemorySink):
    """A store that is away now and then; what is kept goes through JSON, as it does in a database."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self.chance = chance

    def commit(self, stream: str, source: str, minutes: FinalMinutes, position: Mapping[str, Any]) -> None:
        if self.chance.random() < 0.2:
            raise StoreUnavailable("The store is away.")
        super().commit(stream, source, minutes, json.loads(json.dumps(position)))


def test_killed_again_and_again_it_makes_the_same_bars_once(test_data: Path) -> None:
    source = opened(test_data / "tick/USDJPY_truefx_ticks.csv", Basis.MID, "USDJPY")
    undisturbed = MemorySink()
    replayed(source, undisturbed)
    chance, deaths = random.Random(2), 0
    for _ in range(20):
        sink = _Away(chance)
        while True:
            try:
                replayed(source, sink, minutes_at_once=chance.choice([1, 2, 7]))
            except StoreUnavailable:
                deaths += 1
            else:
                break
        assert sink.bars().equals(undisturbed.bars())
        spans = [(minutes.since, minutes.until) for minutes in sink.minutes]
        assert all(one[1] == next_[0] for one, next_ in pairwise(spans))
        committed = len(sink.minutes)
        force = replay(source, sink, speed=None, clock=lambda: PRESENT, sleep=never)
        assert (force.bars, len(sink.minutes)) == (0, committed)
        assert force.went_on_after == source.length - 1
    assert deaths > 20


@pytest.mark.parametrize(
    ("file", "symbol", "speed"),
    [
        ("tick/USDJPY_truefx_ticks.csv", "USDJPY", 1.0),
        ("tick/USDJPY_truefx_ticks.csv", "USDJPY", 100.0),
        *(pytest.param(EURUSD, None, speed, marks=pytest.mark.exhaustive) for speed in (1.0, 100.0)),
    ],
)
def test_at_any_speed_it_makes_the_same_bars_in_the_time_they_took(
    test_data: Path, file: str, symbol: str | None, speed: float
) -> None:
    now, slept = [datetime(2026, 1, 1, tzinfo=UTC)], [0.0]

    def sleep(seconds: float) -> None:
        now[0] += timedelta(seconds=seconds)
        slept[0] += seconds

    source = opened(test_data / file, Basis.MID, symbol)
    at_once, paced = MemorySink(), MemorySink()
    replayed(source, at_once)
    report = replay(source, paced, speed=speed, clock=lambda: now[0], sleep=sleep)
    assert paced.bars().equals(at_once.bars())
    times = [recorded.event.time for recorded in source.events(-1)]
    assert slept[0] == pytest.approx((times[-1] - times[0]).total_seconds() / speed, abs=0.1)
    assert report.until == (times[-1] + timedelta(minutes=1)).replace(second=0, microsecond=0)
    assert len(paced.minutes) > len(at_once.minutes)


def test_a_recording_gives_the_bars_of_what_was_recorded(test_data: Path, tmp_path: Path) -> None:
    source = opened(test_data / "tick/USDJPY_truefx_ticks.csv", Basis.BID, "USDJPY")
    path = tmp_path / "feed.jsonl.gz"
    with RecordingWriter(path, source="file", basis={"USDJPY": Basis.BID, "EURUSD": Basis.MID}) as writer:
        for recorded in source.events(-1):
            writer.write(recorded.event)
    direct, played, chosen = MemorySink(), MemorySink(), MemorySink()
    replayed(source, direct)
    report = replayed(opened(path), played)
    assert played.bars().equals(direct.bars().head(-1))  # whether its last minute was over a recording cannot tell
    assert report.symbols == ("USDJPY", "EURUSD")
    replayed(opened(path, Basis.ASK, "USDJPY"), chosen)
    assert chosen.bars().height == played.bars().height
    assert not chosen.bars().equals(played.bars())
    with pytest.raises(InvalidRequest, match="holds nothing of BTCUSD"):
        opened(path, symbol="BTCUSD")


def test_a_recording_that_goes_on_is_replayed_from_where_it_was(test_data: Path, tmp_path: Path) -> None:
    source = opened(test_data / "tick/USDJPY_truefx_ticks.csv", Basis.BID, "USDJPY")
    events = [recorded.event for recorded in source.events(-1)]
    path = tmp_path / "feed.jsonl.gz"
    sink, undisturbed = MemorySink(), MemorySink()
    replayed(source, undisturbed)
    last = events[299].time
    for part in (events[:300], [FeedUp(last, frozenset({"USDJPY"})), *events[300:]]):
        with RecordingWriter(path, source="file", basis={"USDJPY": Basis.BID}) as writer:
            for event in part:
                writer.write(event)
        replayed(opened(path), sink, minutes_at_once=1)
    assert sink.bars().equals(undisturbed.bars().head(-1))


def test_what_was_not_recorded_is_an_outage(tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl.gz"
    noon, up = datetime(2024, 5, 6, 12, tzinfo=UTC), frozenset({"BTCUSD"})
    for start in (0, 10):
        with RecordingWriter(path, source="kraken", basis={"BTCUSD": Basis.TRADE}, fill_no_trade=True) as writer:
            writer.write(FeedUp(noon + start * MINUTE, up))
            for minute in range(start, start + 4):
                writer.write(Trade("BTCUSD", noon + minute * MINUTE, Decimal(7), Decimal(1), minute))
    sink = MemorySink()
    replayed(opened(path), sink, minutes_at_once=1)
    assert [(time - noon) // MINUTE for time in sink.bars()["time"]] == [0, 1, 2, 10, 11]
    answered = [window for minutes in sink.minutes for window in minutes.covered.get("BTCUSD", [])]
    assert Window.merge(answered) == [Window(noon, noon + 3 * MINUTE), Window(noon + 10 * MINUTE, noon + 12 * MINUTE)]


def test_silent_minutes_are_filled_as_they_were_live(tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl.gz"
    noon = datetime(2024, 5, 6, 12, tzinfo=UTC)
    with RecordingWriter(path, source="kraken", basis={"BTCUSD": Basis.TRADE}, fill_no_trade=True) as writer:
        writer.write(FeedUp(noon, frozenset({"BTCUSD"})))
        for minute in (0, 3, 5):
            writer.write(Trade("BTCUSD", noon + minute * MINUTE, Decimal(7 + minute), Decimal(1), minute))
    sink = MemorySink()
    replayed(opened(path), sink)
    assert sink.bars()["close"].to_list() == [7, 7, 7, 10]
    assert sink.bars()["quality"].to_list() == ["traded", "no_trade", "no_trade", "traded"]


def test_refused_rows_and_events_come_with_line_and_reason(tmp_path: Path) -> None:
    path = tmp_path / "EURUSD_ticks.csv"
    good = [f"2024-05-06T12:00:{second:02}Z,1.1,1.2" for second in range(0, 50, 5)]
    bad = [
        "2024-05-06T12:00:50Z,-1.1,1.2", "2024-05-06T12:00:51Z,x,1.2", "2024-05-06T12:00:52Z,,", "noon,1.1,1.2",
        "2150-05-06T12:00:50Z,1.1,1.2",
    ]  # fmt: skip
    path.write_text("\n".join(["time,bid,ask", *good, *bad, "2024-05-06T12:00:55Z,1.3,1.4", ""]))
    sink = MemorySink()
    report = replayed(opened(path, symbol="EURUSD"), sink)
    found = pl.concat(sink.rejected).sort("line").select("line", "reason").rows()
    reasons = (Reason.NON_POSITIVE_PRICE, Reason.UNREADABLE_NUMBER, Reason.MISSING_VALUE, Reason.UNREADABLE_TIME)
    assert found == [(line, reason.value) for line, reason in enumerate((*reasons, Reason.FUTURE_TIME), 12)]
    assert report.rejected == 5
    assert sink.bars()["close"].to_list() == [Decimal("1.35")]


@pytest.mark.parametrize(
    ("file", "basis", "words"),
    [
        ("tick/IBM_2013-10-07_tick_trade.csv.gz", Basis.MID, "cannot give such bars"),
        (EURUSD, Basis.TRADE, "cannot give such bars"),
        ("minute/IBM_1m_2013-10-07_quote.csv.gz", None, "cannot be replayed"),
    ],
)
def test_what_cannot_be_replayed_is_said(test_data: Path, file: str, basis: Basis | None, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        opened(test_data / file, basis)
