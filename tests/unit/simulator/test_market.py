"""The seeded and the recorded market of the local exchange."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import examples

from trading_platform.domain.errors import InvalidRequest
from trading_platform.simulator.faults import Fault, FaultInjector, Faults
from trading_platform.simulator.market import SECOND, Candles, Trades
from trading_platform.simulator.pairs import DEFAULT_PAIRS, find_pair, units_text
from trading_platform.simulator.recorded import RecordedMarket
from trading_platform.simulator.seeded import SeededMarket

START = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp())
NOW = int(datetime(2025, 3, 4, 15, 17, 42, tzinfo=UTC).timestamp())
DAY = 86_400
PRICES = ("open", "high", "low", "close")
COLUMNS = ("time", *PRICES, "volume", "count")
used = SeededMarket(7)


def same(one: Trades | Candles, other: Trades | Candles) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in vars(one))


def plain_roll_up(trades: Trades, seconds: int) -> dict[int, list[int]]:
    """Candles counted trade by trade."""
    found: dict[int, list[int]] = {}
    for time, price, quantity in zip(
        trades.time.tolist(), trades.price.tolist(), trades.quantity.tolist(), strict=True
    ):
        candle = found.setdefault(time // SECOND // seconds * seconds, [price, price, price, price, 0, 0])
        candle[1], candle[2], candle[3] = max(candle[1], price), min(candle[2], price), price
        candle[4] += quantity
        candle[5] += 1
    return found


@settings(max_examples=examples(25), deadline=None)
@given(
    pair=st.sampled_from(DEFAULT_PAIRS),
    minute=st.integers(0, (NOW - START) // 60),
    later=st.integers(1, 3 * 1440),
)
def test_a_minute_has_the_same_trades_whoever_asks_whenever(pair, minute: int, later: int) -> None:
    start = (START + 60 * minute) * SECOND
    end = start + 60 * SECOND
    alone = SeededMarket(7, [pair.symbol]).trades_after(pair, start - 1, end - 1, 10**6)
    in_passing = used.trades_after(pair, start - 1, end + later * 60 * SECOND, 10**6).between(start, end)
    assert same(alone, in_passing)


@settings(max_examples=examples(15), deadline=None)
@given(
    pair=st.sampled_from(DEFAULT_PAIRS),
    minutes=st.sampled_from([1, 5, 15, 60, 240, 1440]),
    until=st.integers(START + 3 * DAY, NOW),
)
def test_candles_of_every_length_are_the_roll_up_of_the_trades(pair, minutes: int, until: int) -> None:
    length = minutes * 60
    first = (until - 2 * DAY) // length * length
    candles = used.candles(pair, minutes, first, until * SECOND)
    trades = used.trades_after(pair, (first - DAY) * SECOND, until * SECOND, 10**6)
    last_before = int(trades.price[np.searchsorted(trades.time, first * SECOND) - 1])
    expected = plain_roll_up(trades.between(first * SECOND, until * SECOND + 1), length)
    assert candles.time.tolist() == list(range(first, until // length * length + 1, length))
    for row in zip(*(getattr(candles, name).tolist() for name in COLUMNS), strict=True):
        wanted = expected.get(row[0], [last_before] * 4 + [0, 0])
        assert list(row[1:]) == wanted
        last_before = wanted[3]


def test_candles_longer_than_a_day_add_up_days() -> None:
    pair = DEFAULT_PAIRS[1]
    days = used.candles(pair, 1440, NOW - 60 * DAY, NOW * SECOND)
    for week in zip(
        *(getattr(used.candles(pair, 10080, NOW - 40 * DAY, NOW * SECOND), n).tolist() for n in COLUMNS), strict=True
    ):
        part = [index for index, time in enumerate(days.time.tolist()) if time // (7 * DAY) * 7 * DAY == week[0]]
        assert week[1] == days.open[part[0]]
        assert week[2] == max(days.high[part])
        assert week[3] == min(days.low[part])
        assert week[4] == days.close[part[-1]]
        assert week[5:] == (days.volume[part].sum(), days.count[part].sum())


@pytest.mark.parametrize("pair", DEFAULT_PAIRS, ids=lambda pair: pair.symbol)
def test_trades_are_such_as_an_exchange_has(pair) -> None:
    trades = used.trades_after(pair, (NOW - 2 * DAY) * SECOND, NOW * SECOND, 10**6)
    assert (np.diff(trades.trade_id) == 1).all()
    assert (np.diff(trades.time) >= 0).all()
    assert (np.diff(trades.time) == 0).any()
    assert trades.time[-1] <= NOW * SECOND
    assert trades.price.min() > 0
    assert trades.quantity.min() > 0
    per_minute = np.bincount((trades.time // SECOND - (NOW - 2 * DAY)) // 60, minlength=2880)
    assert 3 <= per_minute.mean() <= 8
    assert 0.01 < (per_minute == 0).mean() < 0.3
    assert per_minute.max() > 4 * per_minute.mean()
    steps = np.abs(np.diff(np.log(trades.price)))
    assert steps.max() < 0.05


def test_pairs_move_together() -> None:
    returns = [np.diff(np.log(used.candles(pair, 1440, NOW - 720 * DAY, NOW * SECOND).close)) for pair in used.pairs]
    correlations = np.corrcoef(returns)[np.triu_indices(len(returns), 1)]
    assert 0.3 < correlations.min() < correlations.max() < 0.95


def test_another_seed_is_another_market() -> None:
    pair = DEFAULT_PAIRS[0]
    one, other = (SeededMarket(seed).candles(pair, 1440, NOW - 9 * DAY, NOW * SECOND) for seed in (1, 2))
    assert not same(one, other)


def test_the_latest_trades_are_the_last_of_all() -> None:
    pair = DEFAULT_PAIRS[2]
    midnight = NOW // DAY * DAY
    until = (midnight + 60) * SECOND  # so that the page reaches into the day before
    latest = used.latest_trades(pair, until, 1000)
    assert len(latest) == 1000
    every = used.trades_after(pair, (midnight - DAY) * SECOND, until, 10**6)
    assert same(latest, every[len(every) - 1000 :])


def test_before_the_start_there_is_nothing() -> None:
    pair = DEFAULT_PAIRS[0]
    assert used.trades_after(pair, 0, 10**6, 5).trade_id.size == 0
    assert used.trades_after(pair, 0, NOW * SECOND, 5).trade_id.tolist() == [1, 2, 3, 4, 5]
    assert used.candles(pair, 1440, 0, NOW * SECOND).time[0] == START


def test_an_unlisted_symbol_is_told() -> None:
    with pytest.raises(InvalidRequest, match="BTCEUR"):
        SeededMarket(7, ["BTCUSD", "BTCEUR"])


@pytest.mark.parametrize("spelling", ["BTCUSD", "XBTUSD", "XXBTZUSD", "XBT/USD", "BTC/USD", "xbtusd"])
def test_pairs_go_by_all_of_krakens_spellings(spelling: str) -> None:
    found = find_pair(DEFAULT_PAIRS, spelling)
    assert found is not None
    assert found.name == "XXBTZUSD"


@pytest.mark.parametrize(
    ("units", "decimals", "at_least", "text"),
    [
        (1, 8, 0, "0.00000001"),
        (950001, 1, 0, "95000.1"),
        (950001, 1, 5, "95000.10000"),
        (7, 0, 0, "7"),
        (0, 2, 0, "0.00"),
    ],
)
def test_units_are_written_as_decimals(units: int, decimals: int, at_least: int, text: str) -> None:
    assert units_text(units, decimals, at_least) == text


def test_a_recording_is_served_as_it_was_recorded(test_data: Path) -> None:
    folder = test_data / "payloads" / "nautilus_kraken"
    market = RecordedMarket.from_payloads(
        folder / "http_trades.json", {1: folder / "http_ohlc.json"}, folder / "http_asset_pairs.json"
    )
    (pair,) = market.pairs
    until = int(market.end.timestamp() + 60) * SECOND
    rows = json.loads((folder / "http_trades.json").read_text())["result"]["XBTUSDT"]
    trades = market.trades_after(pair, 0, until, 10**6)
    assert trades.trade_id.tolist() == [row[6] for row in rows]
    rolled = RecordedMarket.from_payloads(folder / "http_trades.json", None, folder / "http_asset_pairs.json")
    first = int(trades.time[0]) // SECOND // 60 * 60 + 60
    last = int(trades.time[-1])
    from_file = market.candles(pair, 1, first, last)
    from_trades = rolled.candles(rolled.pairs[0], 1, first, last)
    for name in COLUMNS:
        assert np.array_equal(getattr(from_file, name), getattr(from_trades, name))


def test_a_csv_of_trades_is_a_market(tmp_path: Path) -> None:
    path = tmp_path / "XBTUSD.csv"
    path.write_text("1762795433.9717,105433.6,0.00027625\n1762795500,105410.1,0.00005\n")
    market = RecordedMarket.from_csv(path, DEFAULT_PAIRS[0])
    trades = market.trades_after(DEFAULT_PAIRS[0], 0, 10**19 // 2, 10)
    assert trades.price.tolist() == [1054336, 1054101]
    assert trades.time.tolist() == [1762795433_971700000, 1762795500_000000000]


@pytest.mark.parametrize("content", ["", "1,2\n", "a,b,c\n"])
def test_an_unreadable_recording_is_told(tmp_path: Path, content: str) -> None:
    path = tmp_path / "trades.csv"
    path.write_text(content)
    with pytest.raises(InvalidRequest, match=r"trades\.csv"):
        RecordedMarket.from_csv(path, DEFAULT_PAIRS[0])
    with pytest.raises(InvalidRequest, match=r"trades\.csv"):
        RecordedMarket.from_payloads(path)


def test_faults_come_as_counted_and_as_likely() -> None:
    faults = Faults(next={Fault.DROP: 2}, probability={Fault.SLOW: 0.2, Fault.TRUNCATE: 0.3}, seed=3)
    injector = FaultInjector(faults)
    drawn = [injector.draw() for _ in range(4002)]
    assert drawn[:2] == [Fault.DROP, Fault.DROP]
    assert drawn.count(Fault.DROP) == 2
    assert drawn.count(Fault.SLOW) / 4000 == pytest.approx(0.2, abs=0.04)
    assert drawn.count(Fault.TRUNCATE) / 4000 == pytest.approx(0.3, abs=0.04)
    force = FaultInjector(faults)
    assert [force.draw() for _ in range(4002)] == drawn
