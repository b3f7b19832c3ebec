"""Columns of the month files: each by its definition, one replaced without the others, none lost without it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from definition_files import declared, write
from feature_rows import rows

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.features.built_in import BUILT_IN
from trading_platform.domain.time import Window
from trading_platform.stores.features.definitions import BUILT_IN_DEFINITIONS, Definitions, load_definitions
from trading_platform.stores.features.files import FeatureStore
from trading_platform.stores.features.month_files import MIXED, stamps_of

JANUARY = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC))
LATE = Window(datetime(2024, 1, 20, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC))
MINE = declared("mine", 'pl.col("close") / pl.col("close").shift(1)')


def month_file(store: FeatureStore) -> Path:
    return store.directory / "symbol=AAPL" / "2024-01" / "features.parquet"


def content(store: FeatureStore) -> pl.DataFrame:
    return pl.read_parquet(month_file(store), hive_partitioning=False).drop("recorded_at")


def hash_of(store: FeatureStore, name: str) -> str | None:
    return (stamps_of(month_file(store)) or {}).get(name, (0, None))[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "definitions", "mine.py", MINE)
    return tmp_path / "definitions"


def store_of(tmp_path: Path, definitions: Definitions) -> FeatureStore:
    return FeatureStore(tmp_path / "features", definitions=definitions)


def with_mine(window: Window, value: float, mine: float | None) -> pl.DataFrame:
    return rows(window, value=value).with_columns(mine=pl.lit(mine, dtype=pl.Float64))


def test_a_file_says_by_which_definition_each_column_was_computed(tmp_path: Path, folder: Path) -> None:
    definitions = load_definitions(folder)
    store = store_of(tmp_path, definitions)
    store.replace(with_mine(JANUARY, 1.0, 2.0), "AAPL", JANUARY)
    stamps = stamps_of(month_file(store))
    versions = {name: each.version for name, each in BUILT_IN.features.items()} | {"mine": 1}
    assert stamps == {name: (version, definitions.hashes[name]) for name, version in versions.items()}
    assert store.stamps("AAPL", JANUARY) == {"2024-01": stamps}


def test_one_column_is_replaced_and_the_others_stay_bit_for_bit(tmp_path: Path, folder: Path) -> None:
    store = store_of(tmp_path, load_definitions(folder))
    odd = with_mine(JANUARY, 0.1, 2.0).with_columns(
        rsi_14=pl.int_range(31) / 3.0, adx_14=pl.lit(None, dtype=pl.Float64)
    )
    store.replace(odd, "AAPL", JANUARY)
    before = content(store)
    given = odd.select("time", "symbol", "available_at", mine=pl.int_range(31) * 1.5)
    assert store.replace(given, "AAPL", JANUARY, ["mine"]).written == ("2024-01",)
    after = content(store)
    assert after.columns == before.columns
    assert after.drop("mine").equals(before.drop("mine"))
    assert after["mine"].to_list() == [row * 1.5 for row in range(31)]
    assert store.replace(given, "AAPL", JANUARY, ["mine"]).unchanged == ("2024-01",)


def test_a_part_of_a_month_by_another_definition_is_mixed(tmp_path: Path, folder: Path) -> None:
    first = store_of(tmp_path, load_definitions(folder))
    first.replace(with_mine(JANUARY, 1.0, 2.0), "AAPL", JANUARY)
    write(folder, "mine.py", MINE.replace("shift(1)", "shift(2)"))
    second = store_of(tmp_path, load_definitions(folder))
    second.replace(with_mine(LATE, 1.0, 3.0), "AAPL", LATE)
    assert (hash_of(second, "mine"), hash_of(second, "rsi_14")) == (MIXED, BUILT_IN_DEFINITIONS.hashes["rsi_14"])
    second.replace(with_mine(JANUARY, 1.0, 3.0), "AAPL", JANUARY)
    assert hash_of(second, "mine") == second.definitions.hashes["mine"]
    later = with_mine(LATE, 1.0, 4.0).select("time", "symbol", "available_at", "mine")
    second.replace(later, "AAPL", LATE, ["mine"])
    assert content(second)["mine"].to_list() == [3.0] * 19 + [4.0] * 12


def test_values_stay_while_their_definition_cannot_be_read(tmp_path: Path, folder: Path) -> None:
    """A value stays where its row did not change; where it did, it is NULL, and computed again with the definition."""
    store = store_of(tmp_path, load_definitions(folder))
    store.write_catalog()
    store.replace(with_mine(JANUARY, 1.0, 2.0), "AAPL", JANUARY)
    known = hash_of(store, "mine")
    write(folder, "mine.py", MINE + "wrong wrong\n")
    broken = store_of(tmp_path, load_definitions(folder))
    broken.write_catalog()
    assert broken.kept() == ["mine"]
    assert broken.replace(rows(JANUARY), "AAPL", JANUARY).unchanged == ("2024-01",)
    assert hash_of(broken, "mine") == known
    corrected = rows(JANUARY).with_columns(
        rsi_14=pl.when(pl.col("time").dt.day() == 15).then(50.0).otherwise(pl.col("rsi_14"))
    )
    broken.replace(corrected, "AAPL", JANUARY)
    assert content(broken)["mine"].to_list() == [None if row == 14 else 2.0 for row in range(31)]
    assert hash_of(broken, "mine") == MIXED
    assert broken.read(["AAPL"], JANUARY, ["mine"])["mine"].null_count() == 1
    partly = corrected.select("time", "symbol", "available_at", adx_14=pl.lit(7.0))
    broken.replace(partly, "AAPL", JANUARY, ["adx_14"])
    assert content(broken)["mine"].null_count() == 1


def test_a_column_goes_with_its_definition(tmp_path: Path, folder: Path) -> None:
    store = store_of(tmp_path, load_definitions(folder))
    store.write_catalog()
    store.replace(with_mine(JANUARY, 1.0, 2.0), "AAPL", JANUARY)
    (folder / "mine.py").unlink()
    without = store_of(tmp_path, load_definitions(folder))
    without.write_catalog()
    assert without.replace(rows(JANUARY), "AAPL", JANUARY).written == ("2024-01",)
    assert dict(content(without).schema) == BUILT_IN.schema
    with pytest.raises(InvalidRequest, match="There is no feature 'mine'"):
        without.read(["AAPL"], JANUARY, ["mine"])


def test_a_reader_without_the_definitions_has_the_columns_from_the_catalog(tmp_path: Path, folder: Path) -> None:
    store = store_of(tmp_path, load_definitions(folder))
    store.write_catalog()
    store.replace(with_mine(JANUARY, 1.0, 2.0), "AAPL", JANUARY)
    reader = FeatureStore(tmp_path / "features")
    assert reader.read(["AAPL"], JANUARY, ["mine"])["mine"].to_list() == [2.0] * 31
    assert list(reader.schema) == [*BUILT_IN.schema, "mine"]
    assert reader.read(["AAPL"], JANUARY).columns == list(reader.schema)


def test_another_type_is_another_feature(tmp_path: Path, folder: Path) -> None:
    """Values of the former type are read as NULL until they are computed again, never as the new type."""
    store_of(tmp_path, load_definitions(folder)).replace(with_mine(JANUARY, 1.0, 2.0), "AAPL", JANUARY)
    write(folder, "mine.py", MINE.replace("warm_up=5", 'data_type="boolean", warm_up=5').replace("/", ">"))
    store = store_of(tmp_path, load_definitions(folder))
    assert not load_definitions(folder).errors
    read = store.read(["AAPL"], JANUARY, ["mine", "rsi_14"])
    assert (read.schema["mine"], read["mine"].null_count()) == (pl.Boolean(), 31)
    assert read["rsi_14"].null_count() == 0
    given = read.select("time", "symbol", "available_at", mine=pl.lit(value=True))
    store.replace(given, "AAPL", JANUARY, ["mine"])
    assert store.read(["AAPL"], JANUARY, ["mine"])["mine"].all()
    assert content(store)["rsi_14"].to_list() == [1.0] * 31


def test_only_the_declared_columns_can_be_replaced(tmp_path: Path, folder: Path) -> None:
    store = store_of(tmp_path, load_definitions(folder))
    with pytest.raises(InvalidRequest, match="cannot be stored"):
        store.replace(rows(JANUARY), "AAPL", JANUARY, ["mine"])
    assert replace(BUILT_IN_DEFINITIONS).fingerprint == BUILT_IN_DEFINITIONS.fingerprint
