"""The production client and source against the local exchange, over HTTP."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from properties import some_usual
from waiting import LONG

from trading_platform.domain.errors import (
    ConfigurationError,
    RateLimited,
    SourceError,
    SourceRejected,
    SourceUnavailable,
)
from trading_platform.domain.market.bars import BAR_SCHEMA, PRICES, content_hash
from trading_platform.domain.market.instruments import Instrument, guess_instrument
from trading_platform.domain.quality.rules import screen_bars
from trading_platform.domain.time import Timeframe, Window
from trading_platform.simulator.faults import Fault, Faults
from trading_platform.simulator.pairs import Pair
from trading_platform.simulator.recorded import RecordedMarket
from trading_platform.simulator.seeded import SeededMarket
from trading_platform.simulator.server import running_exchange
from trading_platform.sources.kraken.client import KrakenClient, connect
from trading_platform.sources.kraken.http import Retries, unwrap
from trading_platform.sources.kraken.parse import parse_ohlc
from trading_platform.sources.kraken.source import KrakenSource

NOW = datetime(2025, 3, 4, 15, 17, 42, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
COLUMNS = ["time", *PRICES, "volume"]
YESTERDAY = NOW.replace(second=0) - timedelta(days=1)
HALF_DAY = Window(YESTERDAY - timedelta(hours=12), YESTERDAY)  # older than candles, so from pages of trades
SYMBOLS = ("BTCUSD", "ETHUSD", "SOLUSD", "ADAUSD", "XRPUSD", "DOTUSD")


def clock() -> datetime:
    return NOW


def instrument(symbol: str) -> Instrument:
    return guess_instrument(symbol, "kraken")


def client_of(url: str, *, attempts: int = 5, read_timeout: float = 30.0) -> KrakenClient:
    retries = Retries(attempts=attempts, sleep=lambda _: None)
    return connect(url, 100_000, retries=retries, timeout=(5.0, read_timeout))


def set_faults(url: str, faults: Faults) -> None:
    body = faults.model_dump_json().encode()
    with urllib.request.urlopen(urllib.request.Request(f"{url}/faults", data=body)) as response:  # noqa: S310
        assert response.status == 200


@pytest.fixture(scope="module")
def exchange() -> Iterator[str]:
    with running_exchange(SeededMarket(7), clock=clock) as url:
        yield url


@pytest.fixture(scope="module")
def undisturbed(exchange: str) -> pl.DataFrame:
    source = KrakenSource(client_of(exchange), clock=clock)
    return source.bars(instrument("BTCUSD"), Timeframe.M1, HALF_DAY).bars


@pytest.mark.parametrize("symbol", some_usual(SYMBOLS))
def test_two_days_of_trades_become_the_exchanges_own_candles(exchange: str, symbol: str) -> None:
    client = client_of(exchange)
    source = KrakenSource(client, clock=clock)
    (available_history,) = source.available_history(instrument(symbol), Timeframe.M1)
    assert available_history == Window(NOW.replace(second=0) - timedelta(days=2), NOW.replace(second=0))
    response = source.bars(instrument(symbol), Timeframe.M1, available_history)
    assert response.answered == (available_history,)
    assert response.rejected.is_empty()
    assert response.bars.schema == pl.Schema(BAR_SCHEMA)
    assert response.bars["time"].to_list() == [available_history.start + number * MINUTE for number in range(2880)]
    candles = screen_bars(client.ohlc(client.pairs().find(symbol), 1).rows.head(-1), Timeframe.M1, NOW).accepted
    assert candles.height == 720
    assert response.bars.tail(720).select(COLUMNS).equals(candles.select(COLUMNS))
    traded = pl.col("quality") == "traded"
    assert response.bars.filter(traded != (pl.col("volume") > 0)).is_empty()


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_daily_bars_are_the_720_days_before_today(exchange: str, symbol: str) -> None:
    source = KrakenSource(client_of(exchange), clock=clock)
    (available_history,) = source.available_history(instrument(symbol), Timeframe.D1)
    today = NOW.replace(hour=0, minute=0, second=0)
    assert available_history == Window(today - timedelta(days=720), today)
    response = source.bars(instrument(symbol), Timeframe.D1, available_history)
    assert (response.answered, response.note) == ((available_history,), None)
    assert response.bars["time"].to_list() == [
        available_history.start + timedelta(days=number) for number in range(720)
    ]
    assert response.bars.schema == pl.Schema(BAR_SCHEMA)


def test_a_daily_bar_is_the_roll_up_of_its_minutes(exchange: str) -> None:
    source = KrakenSource(client_of(exchange), clock=clock)
    day = Window(datetime(2025, 3, 2, tzinfo=UTC), datetime(2025, 3, 3, tzinfo=UTC))
    daily = source.bars(instrument("ETHUSD"), Timeframe.D1, day).bars.row(0, named=True)
    minutes = source.bars(instrument("ETHUSD"), Timeframe.M1, day).bars
    traded = minutes.filter(pl.col("quality") == "traded")
    assert daily["open"] == traded["open"][0]
    assert daily["high"] == minutes["high"].max()
    assert daily["low"] == minutes["low"].min()
    assert daily["close"] == minutes["close"][-1]
    assert daily["volume"] == minutes["volume"].sum()


def test_windows_out_of_reach_are_answered_in_part_or_refused(exchange: str) -> None:
    source = KrakenSource(client_of(exchange), clock=clock)
    today = NOW.replace(hour=0, minute=0, second=0)
    response = source.bars(instrument("BTCUSD"), Timeframe.D1, Window(today - timedelta(days=900), NOW))
    assert response.answered == (Window(today - timedelta(days=720), today),)
    assert response.note is not None
    assert response.bars["time"].max() == today - timedelta(days=1)
    for timeframe, window in [
        (Timeframe.D1, Window(today - timedelta(days=900), today - timedelta(days=800))),
        (Timeframe.D1, Window(today, today + timedelta(days=2))),
        (Timeframe.M1, Window(NOW, NOW + timedelta(hours=2))),
        (Timeframe.H1, Window(today - timedelta(days=1), today)),
    ]:
        with pytest.raises(SourceRejected):
            source.bars(instrument("BTCUSD"), timeframe, window)
    assert source.available_history(instrument("BTCUSD"), Timeframe.M5) == ()


def test_a_running_candle_is_never_a_bar() -> None:
    now = [datetime(2025, 3, 4, 15, 17, 0, tzinfo=UTC)]
    with running_exchange(SeededMarket(7), clock=lambda: now[0]) as url:
        source = KrakenSource(client_of(url), clock=lambda: now[0])
        for second in (0, 1, 30, 59):
            now[0] = now[0].replace(second=second)
            for timeframe in (Timeframe.M1, Timeframe.D1):
                length = timeframe.duration
                window = Window(now[0] - 3 * length, now[0] + 3 * length)
                times = source.bars(instrument("ADAUSD"), timeframe, window).bars["time"].to_list()
                assert times
                assert window.start <= times[0] < window.start + length
                assert now[0] - length < times[-1] + length <= now[0]


@pytest.mark.exhaustive
def test_a_clock_ahead_of_krakens_closes_no_minute_early() -> None:
    with running_exchange(SeededMarket(7), clock=clock) as url:
        source = KrakenSource(client_of(url), clock=lambda: NOW + timedelta(minutes=2))
        (available_history,) = source.available_history(instrument("BTCUSD"), Timeframe.M1)
        response = source.bars(instrument("BTCUSD"), Timeframe.M1, available_history)
        assert available_history.end > NOW
        assert response.answered == (Window(available_history.start, NOW.replace(second=0)),)
        assert response.bars["time"].max() == NOW.replace(second=0) - MINUTE
        assert response.note


def test_an_unknown_pair_is_told_with_close_ones(exchange: str) -> None:
    source = KrakenSource(client_of(exchange), clock=clock)
    with pytest.raises(SourceRejected, match="BTCUSD"):
        source.bars(instrument("BTCUSB"), Timeframe.D1, Window(NOW - timedelta(days=9), NOW))


@pytest.mark.parametrize("fault", some_usual(Fault, usual=5))
def test_after_each_fault_the_bars_are_those_without_it(exchange: str, undisturbed: pl.DataFrame, fault: Fault) -> None:
    source = KrakenSource(client_of(exchange, read_timeout=0.2), clock=clock)
    minute = Window(HALF_DAY.start, HALF_DAY.start + MINUTE)
    source.bars(instrument("BTCUSD"), Timeframe.M1, minute)  # so that from here on it is pages of trades that break
    try:
        set_faults(exchange, Faults(next={fault: 3}, slow_seconds=0.4))
        bars = source.bars(instrument("BTCUSD"), Timeframe.M1, HALF_DAY).bars
    finally:
        set_faults(exchange, Faults())
    assert content_hash(bars) == content_hash(undisturbed)
    assert bars.height == 720


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(4))
def test_many_faults_at_random_change_no_bar(exchange: str, undisturbed: pl.DataFrame, seed: int) -> None:
    source = KrakenSource(client_of(exchange, attempts=40, read_timeout=0.2), clock=clock)
    likely = dict.fromkeys((*Fault,), 0.1)
    try:
        set_faults(exchange, Faults(probability=likely, slow_seconds=0.3, seed=seed))
        bars = source.bars(instrument("BTCUSD"), Timeframe.M1, HALF_DAY).bars
    finally:
        set_faults(exchange, Faults())
    assert content_hash(bars) == content_hash(undisturbed)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.RATE_LIMIT, RateLimited),
        (Fault.SERVER_ERROR, SourceUnavailable),
        (Fault.UNAVAILABLE, SourceUnavailable),
        (Fault.SLOW, SourceUnavailable),
        (Fault.TRUNCATE, SourceUnavailable),
        (Fault.DROP, SourceUnavailable),
    ],
)
def test_a_fault_that_stays_is_a_clear_error_after_the_attempts(fault: Fault, error: type[SourceError]) -> None:
    faults = Faults(next={fault: 1000}, slow_seconds=0.3)
    with running_exchange(SeededMarket(7), faults, clock) as url:
        waits: list[float] = []
        retries = Retries(attempts=3, sleep=waits.append)
        client = connect(url, 100_000, retries=retries, timeout=(5.0, 0.1))
        with pytest.raises(error) as caught:
            client.server_time()
        assert caught.value.retryable
        assert caught.value.received
        assert len([wait for wait in waits if wait >= 0.5]) == 2


def test_nobody_there_is_an_error_that_can_be_retried() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        client = client_of(f"http://127.0.0.1:{taken.getsockname()[1]}", attempts=2)
        with pytest.raises(SourceUnavailable):
            client.server_time()


def test_a_page_that_is_no_exchange_is_refused(exchange: str) -> None:
    with pytest.raises(SourceRejected, match="404"):
        client_of(f"{exchange}/elsewhere").server_time()


@pytest.mark.parametrize("shared", some_usual([999, 300, 997]))
def test_trades_at_one_stamp_across_pages_come_once(shared: int) -> None:
    """Groups of trades with the same nanosecond, so large that pages are cut inside them."""
    pair = Pair("BTCUSD", "XXBTZUSD", "XBT/USD", "XXBT", "ZUSD", 1)
    chance = random.Random(shared)
    start = int((YESTERDAY - timedelta(hours=1)).timestamp()) // 60 * 60 * 10**9
    times = [start + group * 30 * 10**9 for group in range(9) for _ in range(shared)]
    count = len(times)
    rows = [
        [f"{chance.randint(900, 1100) / 10:.1f}", "0.5", f"{time // 10**9}.{time % 10**9:09d}", "b", "l", "", number]
        for number, time in enumerate(times, start=1)
    ]
    market = _market(pair, rows)
    with running_exchange(market, clock=clock) as url:
        client = client_of(url)
        begin = datetime.fromtimestamp(start // 10**9, UTC)
        pages = client.trade_pages(client.pairs().find("BTCUSD"), start - 1)
        trades = pl.concat([page.rows for page in pages])
        assert trades["trade_id"].to_list() == list(range(1, count + 1))
        assert trades["price"].cast(pl.Float64).to_list() == [float(row[0]) for row in rows]
        bars = KrakenSource(client, clock=clock).bars(instrument("BTCUSD"), Timeframe.M1, Window(begin, YESTERDAY)).bars
        assert bars["volume"].sum() * 2 == count


def _market(pair: Pair, rows: list[list[Any]]) -> RecordedMarket:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trades.csv"
        path.write_text("".join(f"{row[2]},{row[0]},{row[1]}\n" for row in rows))
        return RecordedMarket.from_csv(path, pair)


@pytest.mark.parametrize(
    ("quiet", "known"), [(timedelta(minutes=3), True), (timedelta(hours=5), True), (timedelta(days=3), False)]
)
def test_leading_minutes_have_the_last_price_where_it_can_be_known(*, quiet: timedelta, known: bool) -> None:
    pair = Pair("BTCUSD", "XXBTZUSD", "XBT/USD", "XXBT", "ZUSD", 1)
    window = Window(YESTERDAY - timedelta(minutes=30), YESTERDAY)
    before, inside = (window.start - quiet).timestamp(), (window.start + 10 * MINUTE).timestamp()
    rows = [["101.5", "1", int(before)], ["102.5", "1", int(inside)]]
    with running_exchange(_market(pair, rows), clock=clock) as url:
        source = KrakenSource(client_of(url), clock=clock)
        response = source.bars(instrument("BTCUSD"), Timeframe.M1, window)
        untouched = source.bars(instrument("BTCUSD"), Timeframe.M1, Window(window.start, window.start + 5 * MINUTE))
    assert response.answered == (window,)
    assert response.bars.height == (30 if known else 20)
    if known:
        assert {str(price) for price in response.bars["close"].head(10)} == {"101.50000000"}
    assert untouched.bars.height == (5 if known else 0)


def test_the_recording_comes_back_through_the_client(test_data: Path) -> None:
    folder = test_data / "payloads" / "nautilus_kraken"
    market = RecordedMarket.from_payloads(
        folder / "http_trades.json", {1: folder / "http_ohlc.json"}, folder / "http_asset_pairs.json"
    )
    recorded = unwrap("OHLC", json.loads((folder / "http_ohlc.json").read_text()))
    with running_exchange(market, clock=lambda: market.end) as url:
        client = client_of(url)
        response = client.ohlc(client.pairs().find("BTCUSDT"), 1)
        expected = parse_ohlc(recorded)
        assert response.last == expected.last
        assert response.rows.drop("record").equals(expected.rows.drop("record"))
        source = KrakenSource(client, clock=lambda: market.end)
        first_complete = datetime(2025, 11, 10, 17, 24, tzinfo=UTC)
        bars = source.bars(instrument("BTCUSDT"), Timeframe.M1, Window(first_complete, market.end)).bars
    candles = screen_bars(expected.rows.head(-1), Timeframe.M1, market.end).accepted
    compared = candles.filter(pl.col("time") >= first_complete)
    assert bars.select(COLUMNS).equals(compared.select(COLUMNS))


@pytest.mark.exhaustive
def test_the_command_serves_and_ends_cleanly() -> None:
    module = "trading_platform.cli.live.simulate_exchange"
    program = f"import typer; from {module} import register; a = typer.Typer(); register(a); a()"
    command = [sys.executable, "-c", program, "--json", "--seed", "3", "--symbols", "BTCUSD,ETHUSD", "--next", "drop=1"]
    command += ["--speed", "60"]
    for ending in (signal.SIGTERM, signal.SIGINT):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ}) as process:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            assert ready["symbols"] == ["BTCUSD", "ETHUSD"]
            assert ready["stream_url"] == f"ws{ready['url'].removeprefix('http')}/v2"
            client = client_of(ready["url"])
            assert client.pairs().symbols == ("BTCUSD", "ETHUSD")
            assert _seconds_passed(client, 0.5) >= 29
            process.send_signal(ending)
            assert process.wait(LONG) == 0


def _seconds_passed(client: KrakenClient, wait: float) -> float:
    before = client.server_time()
    time.sleep(wait)
    return (client.server_time() - before).total_seconds()


def test_a_taken_port_is_told() -> None:
    with running_exchange(SeededMarket(7), clock=clock) as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(ConfigurationError, match=str(port)), running_exchange(SeededMarket(7), port=port):
            pass
