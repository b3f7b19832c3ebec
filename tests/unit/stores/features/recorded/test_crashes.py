"""Writers that are killed at any change of the file system, and two at once: whole months, and nothing lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import killed_writer
import polars as pl
import pytest
from killed_writer import FEW, QUARTER
from properties import some_usual

from trading_platform.domain.time import utc_now
from trading_platform.stores.features.files import FeatureStore

Order = Callable[[int, int], str]


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path / "features", definitions=FEW)


@pytest.fixture
def order(store: FeatureStore) -> Iterator[Order]:
    """Lets a child work with a value and kill itself at a moment; says how that ended."""
    script = subprocess.Popen(
        [sys.executable, killed_writer.__file__, str(store.directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert script.stdin is not None
    assert script.stdout is not None
    into, out_of = script.stdin, script.stdout

    def run(number: int, moment: int) -> str:
        into.write(f"{number} {moment}\n")
        into.flush()
        return out_of.readline().strip()

    yield run
    into.close()
    assert script.wait() == 0


def values_by_month(features: pl.DataFrame) -> list[float]:
    """The one value of each month; fails if a month is not whole."""
    found = features.group_by(pl.col("time").dt.month(), maintain_order=True).agg(
        pl.col("rsi_14").unique(), rows=pl.len()
    )
    assert [each for each in found["rows"] if each not in (29, 31)] == []
    assert found["rsi_14"].list.len().eq(1).all()
    return found["rsi_14"].list.first().to_list()


@pytest.mark.parametrize("every", some_usual([29, 1]))
def test_a_killed_writer_leaves_whole_months_and_loses_nothing(store: FeatureStore, order: Order, every: int) -> None:
    copies: list[tuple[datetime, pl.DataFrame]] = []
    snapshots: dict[str, bytes] = {}
    number, moment, ended = 0, 0, "killed"
    while ended == "killed":
        number, moment = number + 1, moment + every
        ended = order(number, moment)
        live = store.read(["AAPL"], QUARTER)
        assert set(values_by_month(live)) <= {float(number), *(float(before) for before in range(number))}
        if store.logs.since() is not None:
            copies.append((utc_now(), live))
        for name in store.snapshots.names():
            found = store.snapshots.open(name)
            found.verify()
            assert snapshots.setdefault(name, found.path.read_bytes()) == found.path.read_bytes()
            assert values_by_month(found.read()) == [float(name[1:])] * 3
    for time, copy in copies:
        assert store.read(["AAPL"], QUARTER, months=store.recorded(time, utc_now())).equals(copy)
    assert values_by_month(copies[-1][1]) == [float(number)] * 3
    assert store.snapshots.names() == [f"s{number}"]
    store.replace(copies[0][1].clear(), "AAPL", QUARTER)
    store.snapshots.delete(f"s{number}")
    assert {path.stem for path in store.objects.path("x").parent.iterdir()} == store.logs.objects(), "and no stray"
    assert number > 50 or every > 1, "at 50 moments at least"


WRITER = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from killed_writer import FEW, QUARTER, values
from trading_platform.stores.features.files import FeatureStore
store = FeatureStore(Path({directory!r}), definitions=FEW)
for number in range({first}, {last}):
    store.replace(values(number), "AAPL", QUARTER)
"""


@pytest.mark.exhaustive
def test_two_writers_of_a_month_lose_nothing_of_each_other(store: FeatureStore) -> None:
    tests = str(Path(killed_writer.__file__).parent)
    writers = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                WRITER.format(tests=tests, directory=str(store.directory), first=first, last=first + 6),
            ]
        )
        for first in (100, 200)
    ]
    while any(writer.poll() is None for writer in writers):
        values_by_month(store.read(["AAPL"], QUARTER))
    assert [writer.returncode for writer in writers] == [0, 0]
    history = store.logs.of("AAPL").revisions
    assert sorted({each.at for each in history}) == list(dict.fromkeys(each.at for each in history)), "in order"
    seen = {float(value) for value in values_by_month(store.read(["AAPL"], QUARTER))}
    for time in {each.at for each in history}:
        read = store.read(["AAPL"], QUARTER, months=store.recorded(time, utc_now()))
        (value,) = set(values_by_month(read))
        seen.add(value)
    assert seen == {float(first + number) for first in (100, 200) for number in range(6)}
