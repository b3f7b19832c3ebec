"""A training set has, for each row of its spine, what could be known then: as a slow reading of all files gives it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from definition_files import declared, label, write
from feature_rows import rows
from hypothesis import given
from hypothesis import strategies as st
from training_oracle import FEATURES, SYMBOLS, History, expected, histories, spines

from trading_platform.client.features.training_sets import training_set
from trading_platform.client.features.training_sets.spine import SpineFrame
from trading_platform.client.market_data import MarketData
from trading_platform.domain.errors import InvalidRequest, StoreError, StoreFull
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Window, utc_now
from trading_platform.stores.features import scan
from trading_platform.stores.features.definitions import load_files
from trading_platform.stores.features.files import FeatureStore
from trading_platform.stores.features.recorded.months import LiveMonths
from trading_platform.stores.stores import Stores, open_stores

NAMES = list(FEATURES)
WINTER = Window(datetime(2023, 12, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC))


@pytest.fixture(scope="module")
def stores(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path_factory.mktemp("features")) as opened:
        for symbol in SYMBOLS:
            opened.instruments.add(Instrument(symbol, AssetClass.EQUITY, "XNYS", "file"))
        window = WINTER
        for symbol, value in (("AAPL", 1.0), ("SPY", 2.0)):
            opened.features.replace(rows(window, symbol, value), symbol, window)
        yield opened


@pytest.fixture
def client(stores: Stores) -> MarketData:
    return MarketData(stores, utc_now)


def at(*moments: tuple[str, str]) -> pl.DataFrame:
    """A spine of these symbols and times."""
    return pl.DataFrame(
        {"symbol": [symbol for symbol, _ in moments], "time": [datetime.fromisoformat(time) for _, time in moments]},
        schema={"symbol": pl.String, "time": pl.Datetime("us", "UTC")},
    )


@given(data=st.data())
def test_it_is_what_a_slow_reading_gives(stores: Stores, data: st.DataObject) -> None:
    history: History = data.draw(histories())
    spine = data.draw(spines(history))
    names = data.draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    spans = st.sampled_from([timedelta(0), timedelta(hours=6), timedelta(days=1), timedelta(days=3, microseconds=-1)])
    tolerance: Mapping[str, timedelta] = data.draw(st.dictionaries(st.sampled_from(names), spans))
    values, reasons = expected(history, spine, names, tolerance)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "VALUES_AT_ONCE", data.draw(st.sampled_from([1, scan.VALUES_AT_ONCE])))
        patch.setattr(scan, "FILES_AT_ONCE", data.draw(st.sampled_from([2, scan.FILES_AT_ONCE])))
        patch.setattr(training_set, "ROWS_AT_ONCE", 7)
        folder = _fresh_folder(stores)
        history.write(folder)
        client = MarketData(replace(stores, features=FeatureStore(folder)), utc_now)
        read = client.training_set(spine, names, tolerance=tolerance)
        assert read.columns == [*spine.columns, *names]
        assert read.select(spine.columns).equals(spine)
        assert read.select(names).to_dicts() == values
        explained = client.training_set(spine, names, tolerance=tolerance, reasons=True)
        assert explained.drop("null_reasons").equals(read)
        assert explained["null_reasons"].to_list() == reasons
        as_file = folder / "set.parquet"
        given_as: SpineFrame = spine if data.draw(st.booleans()) else spine.lazy()
        count = client.training_set(given_as, names, tolerance=tolerance, reasons=True, to=as_file)
        assert count == spine.height
        written = pl.read_parquet(as_file)
        assert written.equals(explained)
        assert written.schema == explained.schema


def _fresh_folder(stores: Stores) -> Path:
    folder = stores.features.directory.parent / "examples" / str(next(_numbers))
    folder.mkdir(parents=True)
    return folder


_numbers = iter(range(1_000_000))


def test_only_the_months_that_are_needed_are_read(stores: Stores) -> None:
    read: list[tuple[str, str]] = []

    class Recording(LiveMonths):
        def content(self, symbol: str, month: str) -> bytes | None:
            read.append((symbol, month))
            return super().content(symbol, month)

    store = FeatureStore(stores.features.directory)
    store.live = Recording(store.directory, store.file_name)
    recording = MarketData(replace(stores, features=store), utc_now)
    spine = at(("SPY", "2024-02-10T00:00Z"), ("SPY", "2024-02-20T00:00Z"), ("AAPL", "2030-01-01T00:00Z"))
    assert recording.training_set(spine, ["rsi_14"])["rsi_14"].to_list() == [2.0, 2.0, 1.0]
    assert sorted(read) == [("AAPL", "2024-02"), ("SPY", "2024-02")]
    read.clear()  # at the beginning of February no row of that month is available
    edges = at(("SPY", "2024-02-01T12:00Z"), ("SPY", "2023-12-01T12:00Z"))
    found = recording.training_set(edges, ["rsi_14"], tolerance=timedelta(days=1))
    assert found["rsi_14"].to_list() == [2.0, None]
    assert sorted(read) == [("SPY", "2023-12"), ("SPY", "2024-01"), ("SPY", "2024-02")]


def test_the_spine_is_kept_in_every_form(client: MarketData) -> None:
    moment = datetime(2024, 1, 10, 5, tzinfo=UTC)
    new_york = [moment.astimezone(ZoneInfo("America/New_York"))]
    forms: list[tuple[pl.Series, pl.DataType]] = [
        (pl.Series("time", [moment]), pl.String()),
        (pl.Series("time", new_york, dtype=pl.Datetime("ns", "America/New_York")), pl.Categorical()),
        (pl.Series("time", [date(2024, 1, 10)]), pl.Enum(["SPY"])),
        (pl.Series("time", ["2024-01-10 00:00:00-05:00"]), pl.String()),
        (pl.Series("time", ["2024-01-10T05:00Z"]), pl.String()),
        (pl.Series("time", ["2024-01-10"]), pl.String()),
    ]
    for times, dtype in forms:
        spine = pl.DataFrame({"symbol": pl.Series(["SPY"], dtype=dtype), "time": times, "label": [[1, 2]]})
        read = client.training_set(spine, ["rsi_14"])
        assert read.drop("rsi_14").equals(spine)
        assert read.drop("rsi_14").schema == spine.schema
        assert read["rsi_14"].to_list() == [2.0]
    own = client.training_set(spine.rename({"time": "decided_at"}), ["rsi_14"], as_of="decided_at")
    assert own.columns == ["symbol", "decided_at", "label", "rsi_14"]


def test_frames_of_pandas_and_arrow_are_spines(client: MarketData) -> None:
    spine = at(("SPY", "2024-01-10T00:00Z"), ("AAPL", "2024-01-10T00:00Z"))
    for other in (spine.to_pandas(), spine.to_arrow()):
        assert client.training_set(other, ["rsi_14"])["rsi_14"].to_list() == [2.0, 1.0]


EMPTY = {"typed": at(), "untyped": pl.DataFrame({"symbol": [], "time": []}), "lazy": at().lazy()}


@pytest.mark.parametrize("empty", EMPTY.values(), ids=EMPTY)
def test_an_empty_spine_gives_the_columns(client: MarketData, tmp_path: Path, empty: pl.DataFrame) -> None:
    read = client.training_set(empty, ["rsi_14", "adx_14"], reasons=True)
    reason = pl.Enum(["no_source", "not_computed", "no_row_yet", "too_old", "warm_up", "no_news", "undefined"])
    assert read.columns == ["symbol", "time", "rsi_14", "adx_14", "null_reasons"]
    assert read.schema["adx_14"] == pl.Float64
    assert read.schema["null_reasons"] == pl.Struct({"rsi_14": reason, "adx_14": reason})
    assert client.training_set(empty, ["rsi_14"], to=tmp_path / "empty.parquet") == 0
    assert pl.read_parquet(tmp_path / "empty.parquet").columns == ["symbol", "time", "rsi_14"]


SPINE = at(("SPY", "2024-01-10T00:00Z"))


@pytest.mark.parametrize(
    ("spine", "options", "words"),
    [
        (SPINE.rename({"symbol": "ticker"}), {}, "no column 'symbol'"),
        (SPINE, {"as_of": "2024-01-01"}, "no column '2024-01-01'"),
        (SPINE.with_columns(rsi_14=1.0), {}, "a column rsi_14 of its own"),
        (SPINE.with_columns(null_reasons=1.0), {"reasons": True}, "a column null_reasons of its own"),
        (SPINE.with_columns(pl.col("time").dt.replace_time_zone(None)), {}, "have no time zone"),
        (SPINE.with_columns(time=pl.lit(20240110)), {}, "times of the spine cannot be read"),
        (SPINE.with_columns(symbol=pl.lit(7203)), {}, "symbols of the spine cannot be read"),
        (pl.concat([SPINE, SPINE.with_columns(time=pl.lit(None).cast(SPINE.schema["time"]))]), {}, "Row 2 .* no time"),
        (pl.concat([SPINE, SPINE.with_columns(symbol=pl.lit(None).cast(pl.String))]), {}, "Row 2 .* no symbol"),
        (SPINE.with_columns(time=pl.lit("2024-01-10T14:30:00")), {}, "no time that can be read.*2024-01-10T14:30:00"),
        (SPINE.with_columns(time=pl.lit(pow(10, 15)).cast(pl.Datetime("ms", "UTC"))), {}, "no time that can be read"),
        (SPINE.with_columns(symbol=pl.lit("NONE")), {}, "no instrument 'NONE'"),
        (SPINE.with_columns(symbol=pl.lit("spy")), {}, "did you mean SPY"),
        (SPINE, {"names": ["rsi_15"]}, "no feature 'rsi_15'.*did you mean rsi_14"),
        (SPINE, {"names": []}, "No feature was given"),
        (SPINE, {"names": "rsi_14"}, "a list of texts"),
        (SPINE, {"tolerance": timedelta(days=-1)}, "tolerance cannot be used"),
        (SPINE, {"tolerance": 5}, "tolerance cannot be used"),
        (SPINE, {"tolerance": {"adx_14": timedelta(1)}}, "'adx_14', which is not requested"),
        (SPINE, {"to": "set.csv"}, "ends in .parquet"),
        ([("SPY", "2024-01-10")], {}, "This is no spine"),
        (pl.scan_parquet("nowhere/at/all.parquet"), {}, "spine cannot be read"),
    ],
)
def test_what_cannot_be_is_refused(client: MarketData, spine: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        client.training_set(spine, options.pop("names", ["rsi_14"]), **options)


def test_a_file_is_whole_or_not_there(
    client: MarketData, tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spine = pl.concat([SPINE] * 40)
    before = tmp_path / "set.parquet"
    before.write_bytes(b"what was there")
    monkeypatch.setattr(training_set, "ROWS_AT_ONCE", 10)
    last = pl.int_range(pl.len()) == 39
    broken = spine.lazy().with_columns(wrong=pl.when(last).then(pl.lit("x")).otherwise(pl.lit("1")).cast(pl.Int64))
    with pytest.raises(InvalidRequest, match="spine cannot be read"):
        client.training_set(broken, ["rsi_14"], to=before)
    for column in (pl.Series([object()] * 40), pl.Series([2**100] * 40, dtype=pl.Int128)):
        with pytest.raises(InvalidRequest, match="cannot be stored"):
            client.training_set(spine.with_columns(own=column), ["rsi_14"], to=before)
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["set.parquet"]
    assert before.read_bytes() == b"what was there"
    with pytest.raises(StoreError, match="could not be written"):
        client.training_set(spine, ["rsi_14"], to=tmp_path / "nowhere" / "set.parquet")
    many = SPINE.select(pl.all().repeat_by(200_000).explode()).with_columns(noise=pl.int_range(pl.len()).hash())
    monkeypatch.undo()
    with pytest.raises(StoreFull):
        client.training_set(many, ["rsi_14"], to=small_disk / "set.parquet")
    assert not list(small_disk.glob("*.parquet*"))
    assert client.training_set(spine, ["rsi_14"], to=before) == 40
    assert before.stat().st_mode & 0o077 == 0


def test_a_damaged_file_is_named(stores: Stores) -> None:
    folder = _fresh_folder(stores)
    store = FeatureStore(folder)
    store.replace(rows(WINTER, "SPY", 2.0), "SPY", WINTER)
    file = folder / "symbol=SPY" / "2024-01" / "features.parquet"
    content = bytearray(file.read_bytes())
    content[len(content) // 2 : -20] = bytes(len(content[len(content) // 2 : -20]))
    file.write_bytes(content)
    client = MarketData(replace(stores, features=store), utc_now)
    with pytest.raises(StoreError, match="SPY in 2024-01"):
        client.training_set(at(("SPY", "2024-01-20T00:00Z"), ("SPY", "2024-02-20T00:00Z")), ["rsi_14"])
    assert client.training_set(at(("SPY", "2024-02-20T00:00Z")), ["rsi_14"])["rsi_14"].to_list() == [2.0]
    file.write_bytes(b"no Parquet")
    with pytest.raises(StoreError, match="damaged"):
        client.training_set(at(("SPY", "2024-01-20T00:00Z")), ["rsi_14"])


MINE = declared("mine", 'pl.col("close") / pl.col("close").shift(1)', warm_up=2) + label(
    "ahead", 5, 'pl.col("close").shift(-5)'
)


def test_features_of_a_user_are_known_from_the_catalog(stores: Stores, tmp_path: Path) -> None:
    definitions = load_files([write(tmp_path, "mine.py", MINE)])
    folder = _fresh_folder(stores)
    store = FeatureStore(folder, definitions=definitions)
    values = pl.Series("mine", [None, None, *[3.0] * 30, None, *[4.0] * 58])
    store.replace(rows(WINTER, "SPY").with_columns(values), "SPY", WINTER)
    store.replace(rows(WINTER, "AAPL").with_columns(mine=pl.lit(5.0)), "AAPL", WINTER)
    store.write_catalog()
    stores.catalog.publish(definitions)
    client = MarketData(replace(stores, features=FeatureStore(folder)), utc_now)
    spine = at(("SPY", "2023-12-03T00:00Z"), ("SPY", "2023-12-04T00:00Z"), ("SPY", "2024-01-03T00:00Z"))
    read = client.training_set(spine, ["mine"], reasons=True)
    assert read["mine"].to_list() == [None, 3.0, None]
    assert read["null_reasons"].to_list() == [{"mine": "warm_up"}, {"mine": None}, {"mine": "undefined"}]
    with pytest.raises(InvalidRequest, match="ahead is a label"):
        client.training_set(spine, ["ahead"])


def test_values_of_a_former_definition_in_another_type_are_not_computed(stores: Stores, tmp_path: Path) -> None:
    folder = _fresh_folder(stores)
    before = load_files([write(tmp_path / "before", "mine.py", declared("mine", 'pl.col("close")'))])
    FeatureStore(folder, definitions=before).replace(rows(WINTER, "SPY").with_columns(mine=1.5), "SPY", WINTER)
    whole = declared("mine", 'pl.col("close").cast(pl.Int64)', data_type='"int64"')
    now = load_files([write(tmp_path / "now", "mine.py", whole)])
    client = MarketData(replace(stores, features=FeatureStore(folder, definitions=now)), utc_now)
    read = client.training_set(at(("SPY", "2024-01-20T00:00Z")), ["mine", "rsi_14"], reasons=True)
    assert read.select("mine", "rsi_14").row(0) == (None, 1.0)
    assert read["null_reasons"].to_list() == [{"mine": "not_computed", "rsi_14": None}]
    assert read.schema["mine"] == pl.Int64


def test_progress_is_reported(client: MarketData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_set, "ROWS_AT_ONCE", 2)
    reports: list[tuple[str, int, int]] = []
    spine = pl.concat([SPINE] * 3)
    client.training_set(
        spine,
        ["rsi_14"],
        to=tmp_path / "set.parquet",
        progress=lambda what, done, total: reports.append((what, done, total)),
    )
    rows_written = "rows of the training set"
    assert reports == [("feature files", 1, 1), (rows_written, 2, 3), (rows_written, 3, 3)]
