"""Snapshots: the same bytes whatever is stored, corrected, removed or deleted besides, without copies of the months."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from feature_rows import YEAR, rows

from trading_platform.domain.errors import InvalidRequest, StoreError
from trading_platform.domain.time import Window, utc_now
from trading_platform.stores.features.files import FeatureStore
from trading_platform.stores.features.recorded.manifests import Contents, hash_of
from trading_platform.stores.features.recorded.snapshots import Snapshot

QUARTER = Window(YEAR.start, YEAR.start + timedelta(days=91))
FILE = "features.parquet"


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    made = FeatureStore(tmp_path / "features")
    made.replace(rows(QUARTER), "AAPL", QUARTER)
    return made


def save(store: FeatureStore, name: str) -> tuple[Snapshot, pl.DataFrame]:
    with store.snapshots.saving(name) as saving:
        read = store.read(["AAPL", "MSFT"], YEAR, ["rsi_14", "adx_14"], saving.months(store.live))
        return saving.save(read, Contents({"names": ["rsi_14", "adx_14"]}, None, hash_of(read))), read


def objects(store: FeatureStore) -> set[str]:
    return {path.stem for path in (store.directory / "_objects").iterdir()}


def test_a_snapshot_is_read_again_whatever_is_stored(store: FeatureStore) -> None:
    saved, read = save(store, "first")
    content = saved.path.read_bytes()
    store.replace(rows(QUARTER, value=2.0), "AAPL", QUARTER)
    store.replace(rows(QUARTER).clear(), "AAPL", QUARTER)
    save(store, "second")
    store.snapshots.delete("second")
    again = FeatureStore(store.directory).snapshots.open("first")
    assert again.read().equals(read)
    assert again.path.read_bytes() == content
    assert again.manifest == saved.manifest
    months = again.months(FILE)
    assert store.read(["AAPL"], YEAR, months=months).equals(rows(QUARTER))
    assert months.months("AAPL") == ["2024-01", "2024-02", "2024-03"]
    assert store.read(["MSFT"], YEAR, months=months).is_empty()
    again.verify()


def test_months_are_the_live_files_under_another_name(store: FeatureStore) -> None:
    saved, _ = save(store, "first")
    for month in store.months("AAPL"):
        digest = saved.manifest.months[f"symbol=AAPL/{month}/{FILE}"]
        assert store.objects.path(digest).samefile(store.live.path("AAPL", month))
    assert len(objects(store)) == 4
    save(store, "again")
    assert len(objects(store)) == 4, "the same content is the same file"


def test_the_manifest_says_what_was_read_and_by_which_definitions(store: FeatureStore) -> None:
    saved, read = save(store, "first")
    manifest = saved.manifest
    assert (manifest.rows, list(manifest.columns)) == (91, read.columns)
    assert manifest.definitions["rsi_14"] == [(1, store.definitions.hashes["rsi_14"])]
    assert manifest.contents.spine == hash_of(read) != hash_of(read.reverse())
    assert hash_of(read) == hash_of(pl.concat([read[:40], read[40:]], rechunk=False))
    assert manifest.contents.parameters == {"names": ["rsi_14", "adx_14"]}
    assert set(manifest.code) == {"trading_platform", "polars"}
    assert store.snapshots.all() == [manifest]


def test_a_state_of_earlier_is_saved_as_it_was_recorded(store: FeatureStore) -> None:
    then = utc_now()
    store.replace(rows(YEAR, value=2.0), "AAPL", YEAR)
    with store.snapshots.saving("then") as saving:
        state = saving.months(store.recorded(then, utc_now()))
        read = store.read(["AAPL"], YEAR, months=state)
        store.replace(rows(YEAR, value=3.0), "AAPL", YEAR)
        assert store.read(["AAPL"], YEAR, months=state).equals(read), "what was read once stays"
        saved = saving.save(read, Contents(recorded_as_of=then))
    assert read.equals(rows(QUARTER))
    assert saved.manifest.contents.recorded_as_of == then
    assert store.read(["AAPL"], YEAR, months=saved.months(FILE)).equals(read)


def test_a_file_of_rows_is_copied(store: FeatureStore, tmp_path: Path) -> None:
    file = tmp_path / "set.parquet"
    rows(QUARTER).write_parquet(file)
    content = file.read_bytes()
    with store.snapshots.saving("of-a-file") as saving:
        saved = saving.save(file, Contents())
    file.write_bytes(b"")
    assert saved.path.read_bytes() == content


def test_deleting_removes_what_nothing_else_needs(store: FeatureStore) -> None:
    first, _ = save(store, "first")
    store.replace(rows(QUARTER, value=2.0), "AAPL", QUARTER)
    then = utc_now()
    second, _ = save(store, "second")
    store.replace(rows(QUARTER, value=3.0)[:60], "AAPL", QUARTER)
    assert store.snapshots.names() == ["first", "second"]
    deleted = store.snapshots.delete("second")
    assert (deleted.removed, deleted.needed) == (1, 3), "earlier states of the store need its months"
    assert not store.objects.path(second.manifest.data).exists()
    assert store.read(["AAPL"], YEAR, months=store.recorded(then, utc_now())).equals(rows(QUARTER, value=2.0))
    first.verify()
    with pytest.raises(InvalidRequest, match="no snapshot 'second'"):
        store.snapshots.delete("second")
    with pytest.raises(InvalidRequest, match="no snapshot 'second'"):
        store.snapshots.open("second")


def test_what_a_dead_writer_left_is_removed_with_the_next_deletion(store: FeatureStore) -> None:
    with store.snapshots.saving("never") as saving:
        store.read(["AAPL"], YEAR, months=saving.months(store.live))
    strays = [store.directory / "_objects" / ".half.tmp", store.directory / "_snapshots" / ".half.json.tmp"]
    save(store, "first")
    for stray in strays:
        stray.write_bytes(b"half")
    assert store.snapshots.names() == ["first"]
    store.snapshots.delete("first")
    assert not any(stray.exists() for stray in strays)
    assert objects(store) == set()


@pytest.mark.parametrize("name", ["", ".", "../first", "a/b", "ä", "x" * 101, ".hidden"])
def test_names_that_cannot_be_are_refused(store: FeatureStore, name: str) -> None:
    with pytest.raises(InvalidRequest, match="not a name"), store.snapshots.saving(name):
        pass


def test_a_name_is_taken_for_ever(store: FeatureStore) -> None:
    with store.snapshots.saving("first") as saving:
        save(store, "first")  # somebody else, meanwhile
        with pytest.raises(InvalidRequest, match="already"):
            saving.save(rows(QUARTER), Contents())
    with pytest.raises(InvalidRequest, match="already"):
        save(store, "first")
    assert store.snapshots.open("first").read().width == 5


def test_damage_is_named_and_nothing_is_deleted(store: FeatureStore) -> None:
    first, _ = save(store, "first")
    save(store, "second")
    store.objects.path(first.manifest.data).write_bytes(b"PAR1 damaged PAR1")
    with pytest.raises(StoreError, match="missing or damaged"):
        first.read()
    manifest = store.directory / "_snapshots" / "first.json"
    manifest.write_text("{}")
    before = objects(store)
    for refused in (
        lambda: store.snapshots.open("first"),
        store.snapshots.all,
        lambda: store.snapshots.delete("second"),
    ):
        with pytest.raises(StoreError, match=r"first\.json is damaged"):
            refused()
    assert (objects(store), store.snapshots.names()) == (before, ["first", "second"])
