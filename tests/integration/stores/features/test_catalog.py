"""The catalog of features in the database: what the code defines, no more, and untouched where nothing changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest

from trading_platform.client import Platform
from trading_platform.domain.features.built_in import BUILT_IN
from trading_platform.domain.features.feature_set import FeatureSet
from trading_platform.domain.features.inputs import bars, indicator
from trading_platform.domain.time import utc_now
from trading_platform.stores.features.catalog import CATALOG_SCHEMA, FeatureCatalogStore
from trading_platform.stores.features.definitions import BUILT_IN_DEFINITIONS, Definitions
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.postgres.roles import Role, as_role
from trading_platform.stores.schema import upgrade
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.workflows.derived.build_features import build_features


@pytest.fixture
def stores(database_url: str, tmp_path: Path) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path, may_upgrade=True) as opened:
        opened.catalog.publish()
        yield opened


def places(stores: Stores) -> dict[str, tuple[str, str]]:
    """Where each row lies and who last locked it: both change with any writing, even of the same values."""
    with stores.database.begin() as connection:
        found = execute(connection, "SELECT feature_name, ctid::text, xmax::text FROM features.catalog")
    return {name: (place, locked) for name, place, locked in found}


def test_an_upgraded_database_has_the_features_of_the_code(stores: Stores):
    with stores.database.begin() as connection:
        execute(connection, "DELETE FROM features.catalog")
    upgrade(stores.database)
    found = stores.catalog.read()
    assert dict(found.schema) == CATALOG_SCHEMA
    assert found["feature_name"].to_list() == sorted(BUILT_IN.features)
    for row in found.iter_rows(named=True):
        spec = BUILT_IN.features[row["feature_name"]]
        assert tuple(row["dependencies"]) == spec.dependencies
        assert (row["description"], row["computation"]) == (spec.description, spec.formula)
        assert (row["data_type"], row["category"]) == (spec.data_type, spec.category)
        assert row["lookback_days"] == spec.lookback_days
        assert (row["version"], row["warm_up_bars"]) == (spec.version, spec.warm_up)
        assert row["definition_hash"] == stores.definitions.hashes[spec.name]
        assert (row["availability"], row["awaits"]) == ("close of the bar", spec.awaits)
        assert tuple(row["needed_by"]) == BUILT_IN.needed_by(spec.name)
        assert (row["kind"], row["horizon_bars"], row["defined_in"]) == ("feature", None, None)
    assert BUILT_IN.needed_by("returns_1d") == ("volatility_20d", "market_beta_60d")


def test_the_file_and_the_table_say_the_same(stores: Stores):
    with stores.database.begin() as connection:
        execute(connection, "DELETE FROM features.catalog WHERE feature_name < 'm'")
        execute(connection, "UPDATE features.catalog SET computation = 'by hand'")
    build_features(stores, {}, [], [], clock=utc_now)
    file = stores.features.directory / "_metadata" / "feature_catalog.json"
    written = json.loads(file.read_text())["features"]
    columns = [name for name in CATALOG_SCHEMA if name != "updated_at"]
    assert set(CATALOG_SCHEMA) == set(written[0])
    said = sorted(({name: entry[name] for name in columns} for entry in written), key=lambda each: each["feature_name"])
    assert stores.catalog.read().select(columns).to_dicts() == said


def test_nothing_is_touched_where_nothing_changed(stores: Stores):
    before, lying = stores.catalog.read(), places(stores)
    assert stores.catalog.publish() == []
    assert stores.catalog.read().equals(before)
    assert places(stores) == lying


def test_only_what_changed_is_stamped_and_what_is_gone_goes(stores: Stores):
    before = {row["feature_name"]: row for row in stores.catalog.read().to_dicts()}
    moved = replace(
        BUILT_IN.features["rsi_14"], formula="another formula", inputs=(indicator("rsi_14"), bars("volume"))
    )
    fresh = replace(BUILT_IN.features["rsi_14"], name="rsi_7")
    specs = [*(spec for name, spec in BUILT_IN.features.items() if name not in {"rsi_14", "adx_14"}), moved, fresh]
    assert stores.catalog.publish(Definitions(FeatureSet(specs))) == ["adx_14", "rsi_14", "rsi_7"]
    after = {row["feature_name"]: row for row in stores.catalog.read().to_dicts()}
    assert set(after) == set(before) - {"adx_14"} | {"rsi_7"}
    assert after["rsi_14"]["dependencies"] == ["indicator.rsi_14", "bars.volume"]
    assert after["rsi_7"]["dependencies"] == ["indicator.rsi_14"]
    assert after["rsi_14"]["updated_at"] > before["rsi_14"]["updated_at"]
    assert after["rsi_14"]["updated_at"].tzinfo is not None
    assert after["rsi_14"]["updated_at"].astimezone(UTC) <= utc_now()
    untouched = set(before) - {"adx_14", "rsi_14"}
    assert {name: after[name] for name in untouched} == {name: before[name] for name in untouched}
    assert stores.catalog.publish() == ["adx_14", "rsi_14", "rsi_7"]


def test_several_at_once_write_it_once(database_url: str, stores: Stores):
    """Old and new definitions published against each other: neither is refused, the last one stands whole."""
    specs = [replace(spec, description="as it was") for name, spec in BUILT_IN.features.items() if name != "adx_14"]
    older = Definitions(FeatureSet(specs))

    def publish(number: int) -> list[str]:
        mine = Database(database_url)
        try:
            return FeatureCatalogStore(mine).publish(older if number % 2 else BUILT_IN_DEFINITIONS)
        finally:
            mine.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(publish, range(40)))
        stores.catalog.publish(older)
        changed = list(pool.map(publish, range(0, 16, 2)))
    assert sorted(map(len, changed)) == [0] * 7 + [len(BUILT_IN.features)]
    assert stores.catalog.read()["feature_name"].to_list() == sorted(BUILT_IN.features)


def test_batch_work_publishes_and_agents_read_it(database_url: str, stores: Stores, tmp_path: Path):
    with open_stores(as_role(database_url, Role.INGEST, trusted=True), tmp_path) as ingest:
        changed = [replace(spec, formula="another") for spec in BUILT_IN.features.values()]
        assert ingest.catalog.publish(Definitions(FeatureSet(changed[:-1]))) == sorted(BUILT_IN.features)
        assert ingest.catalog.publish() == sorted(BUILT_IN.features)
    with open_stores(as_role(database_url, Role.AGENT, trusted=True), tmp_path) as agent:
        assert Platform(agent).feature_catalog().equals(stores.catalog.read().drop("kind", "horizon_bars"))
