"""What was recorded of the features at a time: equal to a copy of then, after changes of all kinds and losses."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from definition_files import declared, write
from feature_rows import rows
from polars.testing import assert_frame_equal
from properties import some_usual

from trading_platform.domain.errors import InvalidRequest, StoreError
from trading_platform.domain.features.built_in import BUILT_IN
from trading_platform.domain.features.feature_set import FeatureSet
from trading_platform.domain.time import Window
from trading_platform.stores.features.definitions import BUILT_IN_DEFINITIONS, Definitions, load_definitions
from trading_platform.stores.features.files import FeatureStore
from trading_platform.stores.features.month_files import Change

START = datetime(2024, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
WHOLE = Window(START, START + 60 * DAY)
JANUARY = Window(START, START + 31 * DAY)
SYMBOLS = ["AAPL", "MSFT"]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEYS = ["time", "symbol", "available_at"]
DAYS = {symbol: rows(WHOLE, symbol).select(KEYS) for symbol in SYMBOLS}
FEW = [BUILT_IN.features[name] for name in ("returns_1d", "rsi_14", "news_sentiment_24h")]


class Time:
    """A clock that goes on by a second whenever it is read, and sometimes back."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def clock() -> Time:
    return Time()


def store_of(path: Path, clock: Time, definitions: Definitions = BUILT_IN_DEFINITIONS) -> FeatureStore:
    return FeatureStore(path / "features", clock, definitions)


@pytest.fixture
def store(tmp_path: Path, clock: Time) -> FeatureStore:
    return store_of(tmp_path, clock)


def read_at(store: FeatureStore, time: datetime, *, names: list[str] | None = None) -> pl.DataFrame:
    return store.read(SYMBOLS, WHOLE, names, store.recorded(time, time))


def random_rows(store: FeatureStore, symbol: str, window: Window, chance: random.Random) -> pl.DataFrame:
    first, last = ((end - START).days for end in (window.start, window.end))
    found = DAYS[symbol][first:last]
    numbers = np.random.default_rng(chance.randrange(1 << 32))
    names = store.definitions.features.names
    values = pl.from_numpy(numbers.normal(size=(found.height, len(names))), schema=names)
    return found.hstack(values).with_columns(pl.when(pl.col(name).abs() < 2).then(name) for name in names)


def correct(store: FeatureStore, chance: random.Random) -> None:
    """One change: of days' values, or of one feature; days that go or come; the same again; noise of the last bit."""
    symbol = chance.choice(SYMBOLS)
    first = chance.randrange(60)
    window = Window(START + first * DAY, START + min(60, first + chance.choice([1, 1, 1, 2, 2, 3, 5, 35])) * DAY)
    kind = chance.random()
    if kind >= 0.5:
        store.replace(random_rows(store, symbol, window, chance), symbol, window)
        return
    stored = store.read([symbol], window).select(list(store.definitions.features.schema))
    if kind < 0.15:
        store.replace(stored.clear(), symbol, window)
    elif kind < 0.3:
        name = chance.choice(store.definitions.features.names)
        changed = stored.select(*KEYS, pl.Series(name, [chance.gauss(0, 1) for _ in range(stored.height)], pl.Float64))
        store.replace(changed, symbol, window, [name])
    elif kind < 0.4:
        store.replace(stored, symbol, window)
    else:
        store.replace(stored.with_columns(pl.selectors.float() * (1 + 1e-12)), symbol, window)


@pytest.mark.parametrize("corrections", some_usual([25, 1_000]))
def test_random_corrections_are_read_as_a_copy_of_each_time(tmp_path: Path, clock: Time, corrections: int) -> None:
    chance = random.Random(7)
    kept = set(chance.sample(range(corrections), min(100, corrections // 3)))
    store = store_of(tmp_path, clock, Definitions(FeatureSet(FEW)))
    for symbol in SYMBOLS:
        store.replace(random_rows(store, symbol, JANUARY, chance), symbol, JANUARY)
    copies = [(clock(), store.read(SYMBOLS, WHOLE))]
    for number in range(corrections):
        if number == corrections // 2:  # a feature of the user's comes
            write(tmp_path / "definitions", "mine.py", declared("mine", 'pl.col("close")'))
            mine = load_definitions(tmp_path / "definitions").features.features["mine"]
            store = store_of(tmp_path, clock, Definitions(FeatureSet([*FEW, mine])))
        correct(store, chance)
        if chance.random() < 0.05:
            clock.now -= timedelta(seconds=1)
        if number in kept:
            copies.append((clock(), store.read(SYMBOLS, WHOLE)))
    for time, copy in copies:
        absent = [] if "mine" in copy.columns else [pl.lit(None, pl.Float64).alias("mine")]
        assert_frame_equal(
            read_at(store, time), copy.with_columns(absent), check_exact=False, rel_tol=1e-9, abs_tol=0.0
        )
    assert len({copy.write_csv() for _, copy in copies}) > len(copies) * 0.6, "most changes are seen"


def objects(store: FeatureStore) -> list[Path]:
    return sorted((store.directory / "_objects").glob("*"))


def test_rows_that_come_cost_no_object_and_are_not_known_before(store: FeatureStore, clock: Time) -> None:
    times = []
    for day in range(1, 5):
        window = Window(START, START + day * DAY)
        store.replace(rows(window), "AAPL", window)
        times.append(clock())
    assert [read_at(store, time).height for time in times] == [1, 2, 3, 4]
    assert objects(store) == []
    assert [each["event"] for each in log(store)] == ["begun", "stored"]


def log(store: FeatureStore) -> list[dict[str, str]]:
    path = store.directory / "_metadata" / "revisions" / "AAPL.jsonl"
    return pl.read_ndjson(path).to_dicts()


def test_what_is_replaced_is_the_same_file_under_another_name(store: FeatureStore, clock: Time) -> None:
    store.replace(rows(JANUARY), "AAPL", JANUARY)
    before = store.live.path("AAPL", "2024-01").stat().st_ino
    then = clock()
    store.replace(rows(JANUARY, value=2.0), "AAPL", JANUARY)
    (kept,) = objects(store)
    assert kept.stat().st_ino == before
    assert read_at(store, then, names=["rsi_14"])["rsi_14"].unique().to_list() == [1.0]
    assert store.read(["AAPL"], WHOLE, ["rsi_14"])["rsi_14"].unique().to_list() == [2.0]


def test_computations_that_agree_are_no_revision(store: FeatureStore, clock: Time) -> None:
    store.replace(rows(JANUARY), "AAPL", JANUARY)
    then = clock()
    again = rows(JANUARY, value=1 + 1e-12)
    assert store.replace(again, "AAPL", JANUARY).written == ("2024-01",)
    assert objects(store) == []
    assert read_at(store, then).height == 31
    assert store.read(["AAPL"], WHOLE).equals(again), "to the bit"


def test_a_column_that_comes_is_null_before(tmp_path: Path, store: FeatureStore, clock: Time) -> None:
    store.replace(rows(JANUARY), "AAPL", JANUARY)
    then = clock()
    write(tmp_path / "definitions", "mine.py", declared("mine", 'pl.col("close")'))
    later = store_of(tmp_path, clock, load_definitions(tmp_path / "definitions"))
    later.replace(rows(JANUARY).select(*KEYS, mine=pl.lit(3.0)), "AAPL", JANUARY, ["mine"])
    assert objects(store) == [], "a column that is added costs no copy of the others"
    assert read_at(later, then, names=["mine", "rsi_14"]).select("mine", "rsi_14").unique().rows() == [(None, 1.0)]
    assert read_at(later, clock(), names=["mine"])["mine"].unique().to_list() == [3.0]
    changed = clock()
    later.replace(rows(JANUARY).select(*KEYS, mine=pl.lit(4.0)), "AAPL", JANUARY, ["mine"])
    assert read_at(later, changed, names=["mine"])["mine"].unique().to_list() == [3.0]
    assert read_at(later, then, names=["mine"])["mine"].null_count() == 31


def test_times_whose_state_is_not_known_are_refused(store: FeatureStore, clock: Time) -> None:
    with pytest.raises(InvalidRequest, match="none yet"):
        store.recorded(NOW, clock())
    store.replace(rows(JANUARY), "AAPL", JANUARY)
    with pytest.raises(InvalidRequest, match="began to keep replaced files: 2026-01-01"):
        store.recorded(NOW - DAY, clock())
    with pytest.raises(InvalidRequest, match="future"):
        store.recorded(clock() + DAY, clock())


def test_files_of_before_the_upgrade_are_part_of_every_state(store: FeatureStore, clock: Time) -> None:
    file = store.live.path("AAPL", "2024-01")
    file.parent.mkdir(parents=True)
    rows(JANUARY).write_parquet(file)
    store.replace(rows(WHOLE, "MSFT"), "MSFT", WHOLE)
    then = clock()
    part = Window(START + 10 * DAY, START + 11 * DAY)
    store.replace(rows(part, value=2.0), "AAPL", part)
    assert read_at(store, then).filter(symbol="AAPL")["rsi_14"].unique().to_list() == [1.0]
    assert store.read(["AAPL"], WHOLE)["rsi_14"].to_list() == [1.0] * 10 + [2.0] + [1.0] * 20
    store.replace(rows(part, value=3.0), "AAPL", part)
    assert read_at(store, then).filter(symbol="AAPL")["rsi_14"].unique().to_list() == [1.0]


def test_a_month_that_went_and_came_back_is_known_to_be_there(store: FeatureStore, clock: Time) -> None:
    store.replace(rows(JANUARY), "AAPL", JANUARY)
    with_rows = clock()
    store.replace(rows(JANUARY).clear(), "AAPL", JANUARY)
    without = clock()
    store.replace(rows(JANUARY, value=2.0), "AAPL", JANUARY)
    assert [read_at(store, time).height for time in (with_rows, without, clock())] == [31, 0, 31]
    assert read_at(store, with_rows)["rsi_14"].unique().to_list() == [1.0]
    store.live.path("AAPL", "2024-01").unlink()
    with pytest.raises(StoreError, match="removed by hand"):
        read_at(store, clock())


@pytest.mark.parametrize("rebuilt", [False, True])
def test_a_file_that_was_removed_by_hand_is_no_empty_month(store: FeatureStore, clock: Time, *, rebuilt: bool) -> None:
    store.replace(rows(JANUARY), "AAPL", JANUARY)
    then = clock()
    store.live.path("AAPL", "2024-01").unlink()
    if rebuilt:
        store.replace(rows(JANUARY), "AAPL", JANUARY)
        assert read_at(store, clock()).height == 31
    with pytest.raises(StoreError, match="removed by hand"):
        read_at(store, then)


def test_a_log_that_was_removed_is_no_empty_one(store: FeatureStore, clock: Time) -> None:
    store.replace(rows(WHOLE), "AAPL", WHOLE)
    then = clock()
    (store.directory / "_metadata" / "revisions" / "AAPL.jsonl").unlink()
    store.replace(rows(JANUARY, value=2.0), "AAPL", JANUARY)
    with pytest.raises(StoreError, match="removed by hand"):
        read_at(store, then)
    assert read_at(store, clock()).equals(store.read(SYMBOLS, WHOLE))


def test_a_damaged_log_is_named(store: FeatureStore, clock: Time) -> None:
    store.replace(rows(JANUARY), "AAPL", JANUARY)
    path = store.directory / "_metadata" / "revisions" / "AAPL.jsonl"
    path.write_text("no JSON\n" + path.read_text())
    with pytest.raises(StoreError, match=r"AAPL\.jsonl is damaged"):
        read_at(store, clock())


def test_a_line_that_was_not_finished_is_cut_off(store: FeatureStore, clock: Time) -> None:
    store.replace(rows(JANUARY), "AAPL", JANUARY)
    then = clock()
    path = store.directory / "_metadata" / "revisions" / "AAPL.jsonl"
    path.write_bytes(path.read_bytes() + b'{"at": "2026-01')
    assert read_at(store, clock()).height == 31
    store.replace(rows(JANUARY, value=2.0), "AAPL", JANUARY)
    assert [each["event"] for each in log(store)] == ["begun", "stored", "replaced"]
    assert read_at(store, then)["rsi_14"].unique().to_list() == [1.0]


def test_an_object_with_another_content_is_not_read(store: FeatureStore, clock: Time) -> None:
    store.replace(rows(JANUARY), "AAPL", JANUARY)
    then = clock()
    store.replace(rows(JANUARY, value=2.0), "AAPL", JANUARY)
    (kept,) = objects(store)
    kept.write_bytes(kept.read_bytes().replace(b"rsi_14", b"rsi_15"))
    with pytest.raises(StoreError, match="missing or damaged"):
        read_at(store, then)


def test_without_hard_links_files_are_copied(store: FeatureStore, clock: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    store.replace(rows(JANUARY), "AAPL", JANUARY)
    then = clock()
    store.replace(rows(JANUARY, value=2.0), "AAPL", JANUARY)
    assert read_at(store, then)["rsi_14"].unique().to_list() == [1.0]


def test_a_writer_that_dies_before_it_replaces_files_loses_nothing(
    store: FeatureStore, clock: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log already says that the file was replaced; it still is what it was."""
    store.replace(rows(WHOLE), "AAPL", WHOLE)
    times = [clock()]
    publish: Callable[[Change], set[Path]] = Change.publish

    def die_in_february(change: Change) -> set[Path]:
        if change.file.parent.name == "2024-02":
            raise KeyboardInterrupt
        return publish(change)

    monkeypatch.setattr(Change, "publish", die_in_february)
    with pytest.raises(KeyboardInterrupt):
        store.replace(rows(WHOLE, value=2.0), "AAPL", WHOLE)
    monkeypatch.setattr(Change, "publish", publish)
    times.append(clock())
    then = store.read(SYMBOLS, WHOLE)
    assert then["rsi_14"].unique().sort().to_list() == [1.0, 2.0]
    store.replace(rows(WHOLE, value=3.0), "AAPL", WHOLE)
    assert read_at(store, times[0])["rsi_14"].unique().to_list() == [1.0]
    assert read_at(store, times[1]).equals(then)
