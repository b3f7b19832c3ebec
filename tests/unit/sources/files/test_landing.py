"""The use case: files to landing area, quarantine and universe, over small stores in memory."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from trading_platform.domain.errors import InvalidRequest, StoreUnavailable
from trading_platform.domain.market.instruments import AssetClass, Instrument, guess_instrument
from trading_platform.domain.time import Timeframe, Window
from trading_platform.sources.files.content.options import ImportOptions, PriceSide
from trading_platform.sources.files.landing import LandingArea
from trading_platform.sources.files.source import FileSource
from trading_platform.workflows.imports.import_files import ImportReport, ImportStatus, import_files

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ALWAYS = Window(datetime(1990, 1, 1, tzinfo=UTC), NOW)


class QuarantineInMemory:
    """Rows by what tells them apart."""

    def __init__(self) -> None:
        self.rows: dict[tuple[object, ...], dict[str, object]] = {}
        self.broken = False

    def record(
        self, rejected: pl.DataFrame, *, source: str, symbol: str | None, timeframe: str | None, origin: str
    ) -> int:
        if self.broken:
            raise StoreUnavailable("The database is away.")
        before = len(self.rows)
        for row in rejected.iter_rows(named=True):
            assert row["row_count"] > 0
            self.rows[source, symbol, timeframe, origin, row["line"], row["reason"], row["record"]] = row
        return len(self.rows) - before


class CoverageInMemory:
    """Which windows are to be asked for again."""

    def __init__(self) -> None:
        self.withdrawn: list[tuple[str, Timeframe, list[Window]]] = []

    def withdraw(self, symbol: str, timeframe: Timeframe, source: str, windows: Sequence[Window]) -> None:
        assert source == "file"
        self.withdrawn.append((symbol, timeframe, list(windows)))


class InstrumentsInMemory:
    """A universe."""

    def __init__(self, *known: Instrument) -> None:
        self.known = {instrument.symbol: instrument for instrument in known}

    def get(self, symbol: str) -> Instrument | None:
        return self.known.get(symbol)

    def add(self, instrument: Instrument) -> None:
        self.known[instrument.symbol] = instrument


class Stores:
    """All that an import writes to."""

    def __init__(self, folder: Path, *known: Instrument) -> None:
        self.folder = folder
        self.landing = LandingArea(folder)
        self.quarantine = QuarantineInMemory()
        self.coverage = CoverageInMemory()
        self.instruments = InstrumentsInMemory(*known)
        self.progress: list[tuple[str, int, int]] = []
        self.now = NOW

    def run(self, *paths: Path, **said: object) -> ImportReport:
        return import_files(
            paths,
            ImportOptions(**said),  # type: ignore[arg-type]
            landing=self.landing,
            quarantine=self.quarantine,
            coverage=self.coverage,
            instruments=self.instruments,
            clock=lambda: self.now,
            progress=lambda what, done, total: self.progress.append((what, done, total)),
        )


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    return Stores(tmp_path / "imports")


def test_import_of_a_real_file_and_back(test_data: Path, stores: Stores) -> None:
    report = stores.run(test_data / "daily/SPY_2008-2018_yahoo.csv")
    (file,) = report.files
    assert (file.status, file.rows, file.accepted, file.quarantined, file.bars) == (
        ImportStatus.IMPORTED, 2519, 2517, 2, 2517,
    )  # fmt: skip
    assert report.reasons == {"ohlc_inconsistent": 2}
    assert report.series == [("SPY", "1d")]
    assert stores.progress == [("files", 0, 1), ("files", 1, 1)]
    ((symbol, timeframe, windows),) = stores.coverage.withdrawn
    assert (symbol, timeframe, windows[0].start) == ("SPY", Timeframe.D1, datetime(2007, 12, 31, tzinfo=UTC))
    assert stores.run(test_data / "daily/SPY_2008-2018_yahoo.csv").files[0].status is ImportStatus.UNCHANGED
    assert len(stores.coverage.withdrawn) == 1
    assert len(stores.quarantine.rows) == 2
    response = FileSource(stores.folder).bars(guess_instrument("SPY", "file"), Timeframe.D1, ALWAYS)
    assert response.bars.height == 2517


def test_unknown_symbol_is_registered_once_and_known_ones_are_left_alone(test_data: Path, tmp_path: Path) -> None:
    known = Instrument("KO", guess_instrument("KO", "x").asset_class, "XNYS", "kraken", sector="Drinks")
    stores = Stores(tmp_path, known)
    report = stores.run(test_data / "daily/KO_daily.csv", test_data / "daily/PEP_daily.csv")
    assert [(file.symbol, file.registered) for file in report.files] == [("KO", False), ("PEP", True)]
    assert stores.instruments.known == {"KO": known, "PEP": guess_instrument("PEP", "file")}


def test_importing_again_changes_nothing(test_data: Path, stores: Stores) -> None:
    paths = [test_data / "daily/SPY_2008-2018_yahoo.csv", test_data / "daily/BTCUSD_monthly_2012-2024.csv"]
    stores.run(*paths)
    files = {path: path.read_bytes() for path in stores.folder.rglob("*.parquet")}
    quarantined = dict(stores.quarantine.rows)
    force = stores.run(*paths)
    assert [file.status for file in force.files] == [ImportStatus.UNCHANGED, ImportStatus.REJECTED]
    assert {path: path.read_bytes() for path in stores.folder.rglob("*.parquet")} == files
    assert stores.quarantine.rows == quarantined
    assert not force.every_file_usable


def test_another_price_side_replaces_the_bars(test_data: Path, stores: Stores) -> None:
    path = test_data / "daily/EURUSD_oanda_lean_daily_quote.csv"
    source = FileSource(stores.folder)
    eurusd = guess_instrument("EURUSD", "file")
    closes = {}
    for side in PriceSide:
        stores.run(path, price=side)
        closes[side] = source.bars(eurusd, Timeframe.D1, ALWAYS).bars["close"]
    assert (closes[PriceSide.BID] <= closes[PriceSide.MID]).all()
    assert (closes[PriceSide.MID] < closes[PriceSide.ASK]).all()
    assert len(list(stores.folder.rglob("*.parquet"))) == 1


def test_days_in_separate_archives_make_one_history(test_data: Path, stores: Stores) -> None:
    paths = sorted(test_data.glob("minute/lean_original/crypto_coinbase_minute_btcusd_*_trade.zip"))
    report = stores.run(*paths)
    assert report.every_file_usable
    btcusd = guess_instrument("BTCUSD", "file")
    response = FileSource(stores.folder).bars(btcusd, Timeframe.M1, ALWAYS)
    assert response.bars.height == sum(file.accepted for file in report.files)
    assert response.bars["time"].is_sorted()
    in_a_row = Window(datetime(2016, 10, 7, tzinfo=UTC), datetime(2016, 10, 10, tzinfo=UTC))
    assert response.answered[0] == in_a_row


def test_missing_file_stops_before_anything_is_imported(test_data: Path, stores: Stores, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest):
        stores.run(test_data / "daily/KO_daily.csv", tmp_path / "nothing.csv")
    assert not stores.folder.exists()


def test_members_of_an_archive_are_reported_each(test_data: Path, stores: Stores, tmp_path: Path) -> None:
    path = tmp_path / "download.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("KO_daily.csv", "PEP_daily.csv"):
            archive.write(test_data / "daily" / name, name)
        archive.writestr("README.txt", "see the web page\n")
    report = stores.run(path)
    assert [(file.symbol, file.status) for file in report.files] == [
        ("KO", ImportStatus.IMPORTED),
        ("PEP", ImportStatus.IMPORTED),
        ("README", ImportStatus.REJECTED),
    ]


def test_without_quarantine_nothing_is_landed(test_data: Path, stores: Stores) -> None:
    stores.quarantine.broken = True
    with pytest.raises(StoreUnavailable):
        stores.run(test_data / "daily/SPY_2008-2018_yahoo.csv")
    assert not list(stores.folder.rglob("*.parquet"))
    stores.quarantine.broken = False
    assert stores.run(test_data / "daily/SPY_2008-2018_yahoo.csv").files[0].status is ImportStatus.IMPORTED


DAILY = "date,open,high,low,close,volume\n2020-01-02,{0},{0},{0},{0},9\n2020-01-03,{0},{0},{0},{0},9\n"


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def close_of(stores: Stores, symbol: str, timeframe: Timeframe = Timeframe.D1) -> list[str]:
    bars = FileSource(stores.folder).bars(guess_instrument(symbol, "file"), timeframe, ALWAYS).bars
    return [str(close.normalize()) for close in bars["close"]]


@pytest.mark.parametrize("again", ["the same area", "another process"])
def test_the_last_import_counts_even_if_it_is_an_old_file(stores: Stores, tmp_path: Path, again: str) -> None:
    original = written(tmp_path, "KO_daily.csv", DAILY.format("5"))
    corrected = written(tmp_path, "corrected/KO_daily.csv", DAILY.format("6"))
    stores.run(original)
    stores.run(corrected)
    assert close_of(stores, "KO") == ["6", "6"]
    if again == "another process":
        stores.landing = LandingArea(stores.folder)
        stores.now = NOW + timedelta(minutes=1)
    assert stores.run(original).files[0].status is ImportStatus.REPLACED
    assert close_of(stores, "KO") == ["5", "5"]
    assert len(stores.coverage.withdrawn) == 3
    assert stores.run(original).files[0].status is ImportStatus.UNCHANGED
    assert stores.run(corrected).files[0].status is ImportStatus.REPLACED
    assert close_of(stores, "KO") == ["6", "6"]


def test_an_old_file_that_was_not_overruled_stays_as_it_is(stores: Stores, tmp_path: Path) -> None:
    first = written(tmp_path, "KO_daily.csv", DAILY.format("5"))
    longer = written(tmp_path, "more/KO_daily.csv", DAILY.format("5") + "2020-01-06,7,7,7,7,9\n")
    other = written(tmp_path, "PEP_daily.csv", DAILY.format("6"))
    stores.run(first, longer, other)
    assert {file.status for file in stores.run(first, longer, other).files} == {ImportStatus.UNCHANGED}


def test_an_original_of_several_instruments_comes_back_whole(stores: Stores, tmp_path: Path) -> None:
    rows = [f"2020-01-{day:02d},{{0}},{{0}},{{0}},{{0}},{symbol}" for symbol in ("KO", "PEP") for day in (2, 3)]
    text = "\n".join(["date,open,high,low,close,symbol", *rows])
    original, corrected = (written(tmp_path, f"{x}.csv", text.format(x)) for x in ("5", "6"))
    stores.run(original)
    stores.run(corrected)
    assert [file.status for file in stores.run(original).files] == [ImportStatus.REPLACED] * 2
    assert close_of(stores, "KO") == close_of(stores, "PEP") == ["5", "5"]


MINUTES = "time,open,high,low,close\n2020-01-03T14:30:00Z,{0},{0},{0},{0}\n2020-01-03T14:31:00Z,{0},{0},{0},{0}\n"
LEAN = "34200000,{0},{0},{0},{0},9\n34260000,{0},{0},{0},{0},9\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("BAC_daily.csv", DAILY.format("142500")),
        ("BAC_daily.csv", DAILY.format("0.001425")),
        ("BAC_daily.csv", DAILY.format("142500").replace("2020-01", "2020-08")),
        ("BAC_1m.csv", MINUTES.format(142500)),
    ],
)
def test_a_factor_of_thousands_is_no_market_move(stores: Stores, tmp_path: Path, name: str, text: str) -> None:
    stores.run(written(tmp_path, "right/BAC_daily.csv", DAILY.format("14.25")))
    path = written(tmp_path, name, text)
    (file,) = stores.run(path).files
    assert file.status is ImportStatus.REJECTED
    assert "no market move" in str(file.detail)
    assert stores.run(path, any_price_level=True).every_file_usable


def test_an_adjusted_file_is_imported_and_the_factor_said(stores: Stores, tmp_path: Path) -> None:
    stores.run(written(tmp_path, "raw/AAPL_daily.csv", DAILY.format("300")))
    (file,) = stores.run(written(tmp_path, "adjusted/AAPL_daily.csv", DAILY.format("10.7"))).files
    assert file.status is ImportStatus.IMPORTED
    assert "factor of about 28" in file.assumption


def test_a_registered_instrument_decides_how_a_lean_file_is_scaled(tmp_path: Path) -> None:
    known = Instrument("BAC", AssetClass.EQUITY, "XNYS", "file")
    stores = Stores(tmp_path / "imports", known)
    name = "crypto/binance/minute/bac/20200103_bac_minute_trade.csv"
    stores.run(written(tmp_path, name, LEAN.format(142500)))
    assert close_of(stores, "BAC", Timeframe.M1) == ["14.25", "14.25"]
