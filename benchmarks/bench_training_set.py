"""Speed of a training set from monthly feature files, against DuckDB's ASOF join and Feast's file store.

A spine of symbols and times in random order gets all features. The platform reads the monthly files through its client,
with nothing kept from one run to the next. DuckDB joins the same spine with the same files and gives the rows in the
order of the spine; its result must be equal. Feast's file store reads one file with all rows, its best case, and a
spine that is smaller, because it joins every row of the spine with every row of its symbol. Its result must be equal
in the rows that it has: it leaves out repetitions, and rows that no feature row precedes. Both are installed from the
package index into separate virtual environments, in a folder that is removed.

The growth of the platform's time with rows, symbols and years is printed as an exponent: processor time of the whole,
divided by that of a quarter, as a power of four.
"""

from __future__ import annotations

import math
import resource
import subprocess
import tempfile
import time
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from common import SEED, Figure, arguments, instrument, new_stores, own_servers, seconds, show, symbols
from polars.testing import assert_frame_equal

from trading_platform.client import Platform
from trading_platform.domain.features.built_in import BUILT_IN
from trading_platform.domain.time import Window
from trading_platform.stores.stores import Stores

NAMES = list(BUILT_IN.names)
END = datetime(2024, 1, 1, tzinfo=UTC)
MOST_MEMORY = 1.5e9  # bytes
MOST_GROWTH = 1.1

DUCKDB = """
import sys, time
import duckdb
spine, files, names, result, _ = sys.argv[1:]
connection = duckdb.connect()
connection.execute("SET TimeZone = 'UTC'")
connection.execute("SET enable_progress_bar = false")
columns = ", ".join(f"feature.{name}" for name in names.split(","))
statement = f'''
CREATE TABLE result AS
SELECT spine.row, spine.symbol, spine.time, {columns}
FROM read_parquet('{spine}') AS spine
ASOF LEFT JOIN read_parquet('{files}', hive_partitioning = false) AS feature
    ON spine.symbol = feature.symbol AND spine.time >= feature.available_at
ORDER BY spine.row'''
began = time.perf_counter()
connection.execute(statement)
print(time.perf_counter() - began)
connection.execute(f"COPY (SELECT * FROM result ORDER BY row) TO '{result}' (FORMAT parquet)")
"""

FEAST = """
import sys, time
import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Float64
spine, file, names, result, folder = sys.argv[1:]
names = names.split(",")
store = FeatureStore(config=RepoConfig(
    project="bench", provider="local", registry=f"{folder}/registry.db", offline_store={"type": "file"},
    online_store={"type": "sqlite", "path": f"{folder}/online.db"}, entity_key_serialization_version=3,
))
symbol = Entity(name="symbol", join_keys=["symbol"])
fields = [Field(name=name, dtype=Float64) for name in names]
source = FileSource(path=file, timestamp_field="available_at")
view = FeatureView(name="daily", entities=[symbol], ttl=None, schema=fields, source=source, online=False)
store.apply([symbol, view])
frame = pd.read_parquet(spine).rename(columns={"time": "event_timestamp"})
began = time.perf_counter()
found = store.get_historical_features(frame, [f"daily:{name}" for name in names]).to_df()
print(time.perf_counter() - began)
found.to_parquet(result)
"""


@dataclass(frozen=True)
class Peer:
    """What the platform is compared with.

    Attributes:
        name: its package.
        script: prints the seconds of the join and writes its result.
        packages: what else to install.
        target: how many times as long it should take.
        gives_all_rows: whether the result has every row of the spine.
    """

    name: str
    script: str
    packages: tuple[str, ...]
    target: float
    gives_all_rows: bool


PEERS = (Peer("duckdb", DUCKDB, (), 1.5, True), Peer("feast", FEAST, ("pandas", "pyarrow"), 100, False))


def main() -> None:
    """Measures and prints the result."""
    given = arguments(__doc__)
    count, years = (8, 1) if given.quick else (100, 10)
    rows = {"duckdb": 2_000 if given.quick else 1_000_000, "feast": 200 if given.quick else 10_000}
    rounds = {"duckdb": given.rounds or (1 if given.quick else 3), "feast": 1}
    figures, notes = [], []
    with (
        tempfile.TemporaryDirectory(prefix="tp-bench-") as name,
        own_servers() as (_, endpoints),
        new_stores(endpoints, "bench_training", Path(name) / "features") as stores,
    ):
        _fill(stores, symbols(count), years)
        platform = Platform(stores)
        notes += _memory(platform, _spine(rows["duckdb"], count, years))
        for peer in PEERS:
            spine = _spine(rows[peer.name], count, years)
            found = _compare(peer, platform, spine, Path(name), rounds[peer.name])
            if isinstance(found, str):
                notes.append(found)
            else:
                figures.append(Figure(f"{spine.height:,} rows, against {peer.name}", *found, peer.target))
        notes += _growth(platform, rows["duckdb"], count, years)
    show(f"{len(NAMES)} features from {count * years * 12:,} monthly files", figures, notes, quick=given.quick)


def _fill(stores: Stores, names: Sequence[str], years: int) -> None:
    """Stores a row of features for each weekday of some years before the end, of random numbers."""
    days = pl.datetime_range(_start(years), END, "1d", closed="left", time_unit="us", eager=True)
    days = days.filter(days.dt.weekday() <= 5)
    for symbol in names:
        stores.instruments.add(instrument(symbol))
        random = np.random.default_rng([SEED, *symbol.encode()])
        values = {name: pl.Series(random.normal(size=len(days))) for name in NAMES}
        rows = pl.DataFrame({"time": days}).select(
            "time", symbol=pl.lit(symbol), available_at=pl.col("time") + timedelta(hours=21), **values
        )
        stores.features.replace(rows, symbol, Window(_start(years), END))


def _start(years: int) -> datetime:
    return END.replace(year=END.year - years)


def _spine(rows: int, count: int, years: int) -> pl.DataFrame:
    """Random symbols at random seconds, in random order."""
    random = np.random.default_rng(SEED)
    picked = random.integers(0, count, rows)
    at = random.integers(int(_start(years).timestamp()), int(END.timestamp()), rows)
    return pl.DataFrame({"row": np.arange(rows), "symbol": picked, "time": at * 1_000_000}).with_columns(
        pl.col("symbol").replace_strict(dict(enumerate(symbols(count))), return_dtype=pl.String),
        pl.col("time").cast(pl.Datetime("us", "UTC")),
    )


def _memory(platform: Platform, spine: pl.DataFrame) -> list[str]:
    """Runs once, which warms the caches of the system, and says how much memory this process has used at most."""
    platform.training_set(spine, NAMES)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    verdict = "" if most <= MOST_MEMORY else ", too much"
    return [f"Peak memory of the process: {most / 1e9:.2f} GB, at most {MOST_MEMORY / 1e9} GB{verdict}."]


def _compare(
    peer: Peer, platform: Platform, spine: pl.DataFrame, folder: Path, rounds: int
) -> tuple[list[float], list[float]] | str:
    """Seconds of both sides, in turns; a sentence if the peer cannot be installed."""
    python = _install(folder / peer.name, [peer.name, *peer.packages])
    if python is None:
        return f"{peer.name} cannot be installed here and was not measured."
    spine_file, result = folder / "spine.parquet", folder / f"{peer.name}.parquet"
    spine.write_parquet(spine_file)
    files = str(platform._stores.features.directory / "symbol=*" / "*" / "features.parquet")  # noqa: SLF001
    if peer.name == "feast":
        one = folder / "features.parquet"
        pl.scan_parquet(files, hive_partitioning=False).sink_parquet(one)
        files = str(one)
    command = [python, "-c", peer.script, spine_file, files, ",".join(NAMES), result, folder]
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(rounds):
        ours.append(seconds(lambda: platform.training_set(spine, NAMES)))
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=3_600)
        if done.returncode:
            return f"{peer.name} failed: {done.stderr.strip().splitlines()[-1:]}"
        theirs.append(float(done.stdout.split()[-1]))
    _agree(platform.training_set(spine, NAMES), pl.read_parquet(result), all_rows=peer.gives_all_rows)
    return ours, theirs


def _install(folder: Path, packages: Sequence[str]) -> Path | None:
    """The path of a Python with some packages; None if they cannot be installed."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    return python if subprocess.run(command, check=False, capture_output=True).returncode == 0 else None


def _agree(ours: pl.DataFrame, theirs: pl.DataFrame, *, all_rows: bool) -> None:
    """Ends the benchmark unless both sides have the same values for each row that they have in common."""
    same = theirs.rename({"event_timestamp": "time"}, strict=False).with_columns(
        pl.col("time").cast(pl.Datetime("us", "UTC")), pl.col("symbol").cast(pl.String)
    )
    keys = ["row"] if all_rows else ["symbol", "time"]
    other = same.select(ours.columns).unique(keys).sort(keys)
    own = ours.unique(keys).sort(keys)
    if not all_rows:
        with_features = own.filter(pl.any_horizontal(pl.col(NAMES).is_not_null()))
        other, own = other.join(with_features, on=keys, how="semi"), with_features
    assert_frame_equal(own.drop("row"), other.drop("row"), check_exact=True)


def _growth(platform: Platform, rows: int, count: int, years: int) -> list[str]:
    """The exponents of processor time with rows, symbols and years, each between a quarter and the whole."""
    whole = _processor_seconds(platform, _spine(rows, count, years))
    began = int(_start(years).timestamp()) * 1_000_000
    within_a_quarter = began + (pl.col("time").to_physical() - began) // 4
    quarter_of_time = _spine(rows, count, years).with_columns(
        time=within_a_quarter.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    )
    quarters = {
        "rows": _spine(rows // 4, count, years),
        "symbols": _spine(rows, count // 4, years),
        "years": quarter_of_time,
    }
    found = {
        what: math.log(whole / _processor_seconds(platform, spine)) / math.log(4) for what, spine in quarters.items()
    }
    worst = ", too much" if max(found.values()) > MOST_GROWTH else ""
    each = ", ".join(f"{what} {exponent:.2f}" for what, exponent in found.items())
    return [f"Exponents of growth: {each}, at most {MOST_GROWTH}{worst}."]


def _processor_seconds(platform: Platform, spine: pl.DataFrame) -> float:
    """Processor time of a training set: other work on the machine changes it less than the time on the clock."""
    began = time.process_time()
    platform.training_set(spine, NAMES)
    return time.process_time() - began


if __name__ == "__main__":
    main()
