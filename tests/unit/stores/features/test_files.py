"""The feature store: layout, whole months, killed writers, full disks, readers beside writers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import feature_rows
import polars as pl
import pytest
from feature_rows import YEAR, rows

from trading_platform.domain.errors import InvalidRequest, StoreError, StoreFull
from trading_platform.domain.features.built_in import BUILT_IN
from trading_platform.domain.market.bars import TIME
from trading_platform.domain.time import Window
from trading_platform.stores.features.files import FeatureStore, Replaced


def window(start: str, end: str) -> Window:
    return Window(datetime.fromisoformat(f"{start}T00:00Z"), datetime.fromisoformat(f"{end}T00:00Z"))


def contents(directory: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(directory)): file.read_bytes()
        for file in sorted(directory.rglob("*"))
        if file.is_file() and not {"locks", "_objects"} & set(file.parts)
    }


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path / "features")


def test_layout_is_the_documents(store: FeatureStore) -> None:
    store.replace(rows(window("2024-01-30", "2024-02-02")), "AAPL", YEAR)
    store.write_catalog()
    assert list(contents(store.directory)) == [
        "_metadata/feature_catalog.json",
        "_metadata/revisions/AAPL.jsonl",
        "_metadata/revisions/_since",
        "symbol=AAPL/2024-01/features.parquet",
        "symbol=AAPL/2024-02/features.parquet",
    ]
    alone = pl.read_parquet(store.directory / "symbol=AAPL/2024-01/features.parquet", hive_partitioning=False)
    assert dict(alone.schema) == {**BUILT_IN.schema, "recorded_at": TIME}, "a file explains itself"


def test_what_was_written_is_read(store: FeatureStore) -> None:
    written = rows(window("2024-01-15", "2024-04-10")).with_columns(rsi_14=pl.lit(None, dtype=pl.Float64))
    store.replace(written.reverse(), "AAPL", YEAR)
    store.replace(rows(YEAR, "MSFT", 2.0), "MSFT", YEAR)
    assert store.read(["AAPL"], YEAR).equals(written)
    assert store.read(["MSFT", "AAPL", "AAPL", "NONE"], YEAR).equals(pl.concat([written, rows(YEAR, "MSFT", 2.0)]))
    part = window("2024-01-31", "2024-03-02")
    assert store.read(["AAPL"], part, ["adx_14"])["time"].to_list() == rows(part)["time"].to_list()
    assert store.read(["AAPL"], part, ["adx_14"]).columns == ["time", "symbol", "available_at", "adx_14"]
    assert store.months("AAPL") == ["2024-01", "2024-02", "2024-03", "2024-04"]
    assert store.symbols() == ["AAPL", "MSFT"]


def test_nothing_stored_gives_no_rows(store: FeatureStore) -> None:
    assert store.read(["AAPL"], YEAR).equals(pl.DataFrame(schema=BUILT_IN.schema))
    assert store.months("AAPL") == []
    assert store.symbols() == []
    assert not store.directory.exists()


def test_replacing_says_what_it_did_and_touches_nothing_else(store: FeatureStore) -> None:
    store.replace(rows(window("2024-01-01", "2024-05-01")), "AAPL", YEAR)
    untouched = store.directory / "symbol=AAPL" / "2024-01" / "features.parquet"
    before = untouched.stat()
    force = pl.concat([rows(window("2024-01-01", "2024-02-01")), rows(window("2024-03-01", "2024-04-01"), value=2.0)])
    assert store.replace(force, "AAPL", YEAR) == Replaced(("2024-03",), ("2024-01",), ("2024-02", "2024-04"))
    assert (untouched.stat().st_ino, untouched.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert sorted(path.name for path in (store.directory / "symbol=AAPL").iterdir()) == ["2024-01", "2024-03"]
    assert store.read(["AAPL"], YEAR).equals(force)


def test_a_part_of_a_month_keeps_the_rest_of_it(store: FeatureStore) -> None:
    store.replace(rows(YEAR), "AAPL", YEAR)
    part = window("2024-02-10", "2024-02-20")
    assert store.replace(rows(part, value=5.0)[:3], "AAPL", part) == Replaced(("2024-02",), (), ())
    february = store.read(["AAPL"], window("2024-02-01", "2024-03-01"), ["adx_14"])
    assert [time.day for time in february["time"]] == [*range(1, 13), *range(20, 30)]
    assert february.filter(adx_14=5.0)["time"].to_list() == rows(part)["time"].to_list()[:3]


@pytest.mark.parametrize(
    ("frame", "received"),
    [
        (rows(YEAR, "MSFT"), "rows of MSFT"),
        (rows(window("2023-12-31", "2024-01-02")), "2023-12-31"),
        (pl.concat([rows(YEAR)] * 2), "several rows"),
        (rows(YEAR).drop("adx_14"), "columns"),
    ],
)
def test_rows_that_do_not_belong_are_refused(store: FeatureStore, frame: pl.DataFrame, received: str) -> None:
    with pytest.raises(InvalidRequest, match=received):
        store.replace(frame, "AAPL", YEAR)
    assert contents(store.directory) == {}


def test_names_that_cannot_be_are_refused(store: FeatureStore) -> None:
    with pytest.raises(InvalidRequest, match="no feature 'alpha'"):
        store.read(["AAPL"], YEAR, ["rsi_14", "alpha"])
    with pytest.raises(InvalidRequest, match="not a symbol"):
        store.read(["../../etc"], YEAR)
    with pytest.raises(InvalidRequest, match="not a symbol"):
        store.replace(rows(YEAR, "a/b"), "a/b", YEAR)


def test_a_file_from_before_a_feature_was_added(store: FeatureStore) -> None:
    older = rows(window("2024-01-01", "2024-02-01")).drop("adx_14").with_columns(retired=pl.lit(1.0))
    file = store.directory / "symbol=AAPL" / "2024-01" / "features.parquet"
    file.parent.mkdir(parents=True)
    older.write_parquet(file)
    store.replace(rows(window("2024-02-01", "2024-03-01")), "AAPL", window("2024-02-01", "2024-03-01"))
    features = store.read(["AAPL"], YEAR)
    assert dict(features.schema) == BUILT_IN.schema
    assert features["adx_14"].is_null().sum() == 31
    assert features["rsi_14"].is_null().sum() == 0


def test_a_damaged_file_is_named(store: FeatureStore) -> None:
    store.replace(rows(YEAR), "AAPL", YEAR)
    file = store.directory / "symbol=AAPL" / "2024-05" / "features.parquet"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(StoreError, match=r"2024-05/features\.parquet is damaged"):
        store.read(["AAPL"], YEAR)


# --- catalog -------------------------------------------------------------------------------------------------


def test_catalog_has_every_field_of_the_document(tmp_path: Path) -> None:
    first, later = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 6, 1, tzinfo=UTC)
    path = FeatureStore(tmp_path, clock=lambda: first).write_catalog()
    assert path == tmp_path / "_metadata" / "feature_catalog.json"
    entries = json.loads(path.read_text())["features"]
    assert [entry["feature_name"] for entry in entries] == list(BUILT_IN.features)
    fields = {"feature_name", "description", "data_type", "category", "computation", "dependencies", "lookback_days"}
    for entry in entries:
        assert fields <= set(entry)
        assert entry["updated_at"] == first.isoformat()
    before = path.stat().st_ino
    FeatureStore(tmp_path, clock=lambda: later).write_catalog()
    assert path.stat().st_ino == before, "nothing changed, nothing is written"
    entries[3]["computation"] = "something else"
    path.write_text(json.dumps({"features": entries}))
    FeatureStore(tmp_path, clock=lambda: later).write_catalog()
    stamps = [entry["updated_at"] for entry in json.loads(path.read_text())["features"]]
    assert stamps == [(later if index == 3 else first).isoformat() for index in range(len(BUILT_IN.features))]


def test_a_damaged_catalog_is_made_again(store: FeatureStore) -> None:
    path = store.write_catalog()
    path.write_text('{"features": [')
    store.write_catalog()
    assert len(json.loads(path.read_text())["features"]) == len(BUILT_IN.features)


# --- killed writers, readers beside writers, full disks --------------------------------------------------------

WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from feature_rows import YEAR, rows
from trading_platform.stores.features.files import FeatureStore
store, value = FeatureStore(Path({directory!r})), 0.0
while True:
    value += 1.0
    store.replace(rows(YEAR, value=value), "AAPL", YEAR)
    print(value, flush=True)
"""


def start_writer(store: FeatureStore) -> subprocess.Popen[bytes]:
    """A process that writes the year again and again, each time with another value; it has written once."""
    script = WRITER.format(tests=str(Path(feature_rows.__file__).parent), directory=str(store.directory))
    writer = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    writer.stdout.readline()
    return writer


def months_of_one_value(features: pl.DataFrame) -> bool:
    by_month = features.group_by(pl.col("time").dt.month()).agg(pl.col("adx_14").n_unique(), rows=pl.len())
    whole = {month: rows(YEAR).filter(pl.col("time").dt.month() == month).height for month in range(1, 13)}
    return by_month["adx_14"].eq(1).all() and dict(by_month.select("time", "rows").iter_rows()) == whole


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_killed_writer_leaves_old_or_new_months(store: FeatureStore) -> None:
    for attempt in range(3):
        writer = start_writer(store)
        time.sleep(0.023 * attempt)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        assert months_of_one_value(store.read(["AAPL"], YEAR))
    store.replace(rows(YEAR, value=-1.0), "AAPL", YEAR)
    assert store.read(["AAPL"], YEAR).equals(rows(YEAR, value=-1.0))


def test_what_a_killed_writer_left_is_removed(store: FeatureStore) -> None:
    store.replace(rows(YEAR), "AAPL", YEAR)
    good = contents(store.directory)
    strays = [
        store.directory / "symbol=AAPL" / month / ".features.parquet.tmp" for month in ("2024-02", "2024-03", "2031-01")
    ]
    for remove in (store.clean, lambda: store.replace(rows(YEAR), "AAPL", YEAR)):
        for stray in strays:
            stray.parent.mkdir(exist_ok=True)
            stray.write_bytes(b"PAR1 half a file")
        assert store.read(["AAPL"], YEAR).equals(rows(YEAR)), "readers do not take it for a file"
        remove()
        assert contents(store.directory) == good


@pytest.mark.exhaustive
@pytest.mark.slow
def test_readers_beside_a_writer_see_whole_months(store: FeatureStore) -> None:
    writer = start_writer(store)
    try:
        seen = set()
        for _ in range(40):
            features = store.read(["AAPL"], YEAR)
            assert months_of_one_value(features)
            seen.add(features["adx_14"][0])
        assert len(seen) > 1, "the writer was at work meanwhile"
    finally:
        writer.kill()
        writer.wait()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mount = tmp_path / "small"
    mount.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(mount)], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"no small file system can be mounted here: {done.stderr.decode().strip()}")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


def fill(path: Path) -> None:
    """Writes until nothing more fits on the disk."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 4096):
            pass


def test_no_space_left_keeps_the_old_files(small_disk: Path) -> None:
    store, filler = FeatureStore(small_disk / "features"), small_disk / "filler"
    january = window("2024-01-01", "2024-02-01")
    store.replace(rows(january), "AAPL", january)
    fill(filler)
    before = contents(store.directory)
    with pytest.raises(StoreFull, match="free space"):
        store.replace(rows(january, value=4.0), "AAPL", january)
    with pytest.raises(StoreFull):
        store.write_catalog()
    log = "_metadata/revisions/AAPL.jsonl"  # may say what the file still is
    assert contents(store.directory) | {log: b""} == before | {log: b""}
    filler.unlink()
    store.replace(rows(january, value=4.0), "AAPL", january)
    assert store.read(["AAPL"], january).equals(rows(january, value=4.0))


def test_a_year_that_does_not_fit_leaves_whole_months(small_disk: Path) -> None:
    store, filler = FeatureStore(small_disk / "features"), small_disk / "filler"
    store.replace(rows(YEAR), "AAPL", YEAR)
    fill(filler)
    os.truncate(filler, filler.stat().st_size - 9 * 4096)
    new = rows(YEAR, "MSFT", value=2.0)
    with pytest.raises(StoreFull):
        store.replace(new, "MSFT", YEAR)
    assert store.read(["AAPL"], YEAR).equals(rows(YEAR))
    kept = store.read(["MSFT"], YEAR)
    assert 0 < len(store.months("MSFT")) < 12
    assert kept.equals(new[: kept.height])
    assert (kept["time"][-1] + timedelta(days=1)).day == 1, "the last month that fitted is whole"


def test_a_place_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "features").write_text("not a folder")
    with pytest.raises(StoreError, match="permissions or the path"):
        FeatureStore(tmp_path / "features").replace(rows(YEAR), "AAPL", YEAR)
