"""A training set of daily and hourly features alike: each from its own rows, as they were available at the time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from definition_files import declared, write
from hypothesis import given
from hypothesis import strategies as st

from trading_platform.client.market_data import MarketData
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.features.built_in import BUILT_IN
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Timeframe, Window, utc_now
from trading_platform.stores.features import scan
from trading_platform.stores.features.definitions import load_files
from trading_platform.stores.features.files import FeatureStore
from trading_platform.stores.stores import Stores, open_stores

WINDOW = Window(datetime(2024, 1, 29, tzinfo=UTC), datetime(2024, 2, 4, tzinfo=UTC))
STEPS = {Timeframe.D1: timedelta(days=1), Timeframe.H1: timedelta(hours=1)}


def numbered(symbol: str, frequency: Timeframe, first: float, **more: pl.Expr) -> pl.DataFrame:
    """A row for each bar of the window; features count up, so that a value tells its row."""
    step = STEPS[frequency]
    times = pl.datetime_range(WINDOW.start, WINDOW.end, step, closed="left", time_unit="us", eager=True)
    value = pl.lit(first) + pl.int_range(pl.len())
    return pl.DataFrame({"time": times}).select(
        "time",
        symbol=pl.lit(symbol),
        available_at=pl.col("time") + step,
        **dict.fromkeys(BUILT_IN.names, value),
        **more,
    )


DAILY = {symbol: numbered(symbol, Timeframe.D1, first) for symbol, first in (("BTCUSD", 0.0), ("SPY", 500.0))}
HOURLY = {"BTCUSD": numbered("BTCUSD", Timeframe.H1, 1000.0, pace=pl.lit(5000.0) + pl.int_range(pl.len()))}


@pytest.fixture(scope="module")
def stores(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    mine = declared(
        "pace", 'pl.col("close") / pl.col("close").shift(1)', 'bars("close", timeframe="1h")', 3, frequency='"1h"'
    )
    definitions = load_files([write(tmp_path_factory.mktemp("own"), "pace.py", mine)])
    folder = tmp_path_factory.mktemp("features")
    with open_stores(database_url, folder) as opened:
        opened.instruments.add(Instrument("BTCUSD", AssetClass.CRYPTO, "24/7", "kraken"))
        opened.instruments.add(Instrument("SPY", AssetClass.EQUITY, "XNYS", "file"))
        found = replace(
            opened,
            features=FeatureStore(folder, definitions=definitions),
            hourly_features=FeatureStore(folder, definitions=definitions, frequency=Timeframe.H1),
        )
        for symbol, rows in DAILY.items():
            found.features.replace(rows, symbol, WINDOW)
        for symbol, rows in HOURLY.items():
            found.hourly_features.replace(rows, symbol, WINDOW)
        yield found


@pytest.fixture
def client(stores: Stores) -> MarketData:
    return MarketData(stores, utc_now)


def spine(*rows: tuple[str, datetime]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"symbol": pl.String, "time": pl.Datetime("us", "UTC")}, orient="row")


def last_value(rows: dict[str, pl.DataFrame], symbol: str, at: datetime, name: str) -> float | None:
    """The value of the last row that was available, by looking at all of them."""
    if symbol not in rows:
        return None
    known = rows[symbol].filter(pl.col("available_at") <= at)
    return known[name][-1] if known.height else None


moments = st.integers(-24 * 60, 9 * 24 * 60).map(lambda minutes: WINDOW.start + timedelta(minutes=minutes))


@given(
    rows=st.lists(st.tuples(st.sampled_from(["BTCUSD", "SPY"]), moments), min_size=1, max_size=12),
    hourly=st.sets(st.sampled_from(["returns_1d", "rsi_14"])),
    at_once=st.sampled_from([1, scan.VALUES_AT_ONCE]),
)
def test_each_feature_is_from_its_own_rows(
    stores: Stores, rows: list[tuple[str, datetime]], hourly: set[str], at_once: int
) -> None:
    names = ["pace", "returns_1d", "rsi_14"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "VALUES_AT_ONCE", at_once)
        read = MarketData(stores, utc_now).training_set(spine(*rows), names, frequency=dict.fromkeys(hourly, "1h"))
    for name in names:
        source = HOURLY if name in hourly or name == "pace" else DAILY
        assert read[name].to_list() == [last_value(source, symbol, at, name) for symbol, at in rows]


def test_one_frequency_is_of_all_features(client: MarketData) -> None:
    at = datetime(2024, 2, 1, 10, 30, tzinfo=UTC)
    hours = client.training_set(spine(("BTCUSD", at)), ["returns_1d", "adx_14"], frequency="1h")
    assert hours.select("returns_1d", "adx_14").row(0) == (1000.0 + 3 * 24 + 9,) * 2
    for frequency in ({"returns_1d": "1d"}, None):
        days = client.training_set(spine(("BTCUSD", at)), ["returns_1d"], frequency=frequency)  # type: ignore[arg-type]
        assert days["returns_1d"].to_list() == [2.0]


def test_tolerance_and_reasons_are_of_the_rows_of_each(client: MarketData) -> None:
    at = datetime(2024, 2, 5, tzinfo=UTC)
    wanted = spine(("SPY", at), ("BTCUSD", at), ("BTCUSD", WINDOW.start))
    read = client.training_set(wanted, ["pace", "returns_1d"], tolerance={"pace": timedelta(hours=23)}, reasons=True)
    assert read["pace"].to_list() == [None, None, None]
    assert read["returns_1d"].to_list() == [505.0, 5.0, None]
    why = read["null_reasons"].struct.unnest()
    assert why["pace"].to_list() == ["not_computed", "too_old", "no_row_yet"]
    assert why["returns_1d"].to_list() == [None, None, "no_row_yet"]


def test_a_saved_one_keeps_the_files_of_both(client: MarketData, stores: Stores, tmp_path: Path) -> None:
    at = datetime(2024, 2, 1, 10, 30, tzinfo=UTC)
    read = client.training_set(spine(("BTCUSD", at)), ["pace", "returns_1d"], save="both", to=tmp_path / "both.parquet")
    assert read == 1
    stores.hourly_features.replace(HOURLY["BTCUSD"].with_columns(pace=pl.lit(0.0)), "BTCUSD", WINDOW)
    assert client.snapshot("both")["pace"].to_list() == [5000.0 + 3 * 24 + 9]
    manifest = stores.features.snapshots.open("both").manifest
    assert sorted({name.rsplit("/", 1)[1] for name in manifest.months}) == ["features.parquet", "features_1h.parquet"]
    assert manifest.contents.parameters["frequency"] == {"pace": "1h", "returns_1d": "1d"}
    stores.hourly_features.replace(HOURLY["BTCUSD"], "BTCUSD", WINDOW)


@pytest.mark.parametrize(
    ("names", "frequency", "words"),
    [
        (["rsi_14"], "5m", "no features of 5m bars"),
        (["rsi_14"], {"adx_14": "1h"}, "'adx_14', which is not requested"),
        (["pace"], "1d", "no feature 'pace'"),
        (["pace", "rsi_15"], None, "no feature 'rsi_15'"),
    ],
)
def test_a_frequency_that_cannot_be_is_refused(
    client: MarketData, names: list[str], frequency: Any, words: str
) -> None:
    with pytest.raises(InvalidRequest, match=words):
        client.training_set(spine(("SPY", WINDOW.end)), names, frequency=frequency)
