"""Monthly statistics of stored features: computed where something was written, with bins that stay, and their drift."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from trading_platform.domain.features.built_in import BUILT_IN
from trading_platform.domain.features.statistics import monthly_statistics
from trading_platform.domain.time import Window, year_window
from trading_platform.stores.features.files import FeatureStore
from trading_platform.stores.features.statistics import FeatureStatistics
from trading_platform.workflows.features.statistics import drifts, record_missing, record_statistics

YEARS = [year_window(datetime(year, 6, 1, tzinfo=UTC)) for year in (2021, 2022, 2023)]
SYMBOLS = ["AAA", "BBB"]


def rows(symbol: str, year: Window, *, shifted: str | None = None) -> pl.DataFrame:
    """A row a day of normal values; those of returns_1d in one month are further up."""
    random = np.random.default_rng([sum(symbol.encode()), year.start.year])
    times = pl.datetime_range(year.start, year.end, "1d", closed="left", time_unit="us", eager=True).alias("time")
    up = pl.when(pl.col("time").dt.strftime("%Y-%m") == (shifted or "")).then(3.0).otherwise(0.0)
    return (
        times.to_frame()
        .with_columns(
            symbol=pl.lit(symbol),
            available_at=pl.col("time") + timedelta(days=1),
            **{name: pl.Series(random.normal(size=len(times))) for name in BUILT_IN.names},
        )
        .with_columns(returns_1d=pl.col("returns_1d") + up)
    )


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    made = FeatureStore(tmp_path / "features")
    for symbol in SYMBOLS:
        for year in YEARS:
            made.replace(rows(symbol, year), symbol, year)
    record_statistics(made, [(symbol, year) for symbol in SYMBOLS for year in YEARS])
    return made


def test_each_month_has_the_statistics_of_its_values(store: FeatureStore) -> None:
    statistics = FeatureStatistics(store.directory)
    bins = statistics.bins()
    assert set(bins) == set(BUILT_IN.names)
    assert {(each.first, each.last, len(each.edges)) for each in bins.values()} == {("2021-01", "2023-12", 9)}
    edges = {name: each.edges for name, each in bins.items()}
    found = statistics.read(["BBB"])
    written = store.read(["BBB"], Window(YEARS[0].start, YEARS[-1].end))
    assert found.drop("symbol").equals(monthly_statistics(written, edges))
    year = rows("BBB", YEARS[1], shifted="2022-03")
    store.replace(year, "BBB", YEARS[1])
    record_statistics(store, [("BBB", YEARS[1])])
    again = statistics.read(["BBB"])
    assert statistics.bins() == bins, "fixed bins stay"
    assert again.filter(~pl.col("month").str.starts_with("2022")).equals(
        found.filter(~pl.col("month").str.starts_with("2022"))
    )
    assert again.filter(month="2022-03", feature="returns_1d")["mean"][0] > 2.0


def test_what_lacks_is_computed_and_a_damaged_file_is_computed_again(store: FeatureStore) -> None:
    statistics = FeatureStatistics(store.directory)
    before = statistics.read(SYMBOLS)
    assert record_missing(store) == 0
    (store.directory / "_metadata" / "statistics" / "AAA.parquet").write_bytes(b"PAR1 cut off")
    (store.directory / "_metadata" / "statistics" / "BBB.parquet").unlink()
    assert record_missing(store) == 2
    assert statistics.read(SYMBOLS).equals(before)
    store.replace(rows("AAA", YEARS[2]).head(0), "AAA", YEARS[2])
    record_statistics(store, [("AAA", YEARS[2])])
    assert statistics.read(["AAA"])["month"].max() == "2022-12"


def test_only_a_distribution_that_has_moved_is_unusual(store: FeatureStore) -> None:
    usual = drifts(store)
    assert {each.feature for each in usual} == {
        name for name in BUILT_IN.names if BUILT_IN.features[name].unit == "none"
    }
    assert {each.month for each in usual} == {"2023-11"}, "the last month may be incomplete"
    assert [each.feature for each in usual if each.is_unusual] == []
    store.replace(rows("AAA", YEARS[2], shifted="2023-11"), "AAA", YEARS[2])
    record_statistics(store, [("AAA", YEARS[2])])
    found = {each.feature: each for each in drifts(store)}
    assert [name for name, each in found.items() if each.is_unusual] == ["returns_1d"]
    moved = found["returns_1d"]
    assert moved.limit is not None
    assert moved.baseline > moved.limit >= 0.25
    assert moved.before is not None
    assert moved.before > 0.25
    early = drifts(store, ["returns_5d"], "2021-06")
    assert [(each.limit, each.is_unusual) for each in early] == [(None, False)], "there are too few months before"


def test_a_store_without_statistics_has_no_drift(tmp_path: Path) -> None:
    empty = FeatureStore(tmp_path / "features")
    assert (drifts(empty), record_missing(empty)) == ([], 0)
