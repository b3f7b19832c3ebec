"""``trading-platform import`` against a real database."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
import typer
from kraken_archives import write_zip
from typer.testing import CliRunner, Result

from trading_platform.cli.market_data import imports
from trading_platform.domain.errors import InvalidRequest, StoreError
from trading_platform.domain.time import Timeframe, Window
from trading_platform.sources.files.source import FileSource
from trading_platform.sources.kraken.landing_source import KrakenArchive
from trading_platform.stores.config.instruments import InstrumentStore
from trading_platform.stores.market_data.quarantine import QuarantineStore
from trading_platform.stores.postgres.database import Database

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def run(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs the command with a data directory of its own, on the module's database."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("DATABASE_URL", database_url)
    app = typer.Typer()
    imports.register(app)
    app.command("other")(lambda: None)  # an application of one command would not take its name

    def invoke(*arguments: str | Path) -> Result:
        return CliRunner().invoke(app, ["import", *map(str, arguments)])

    return invoke


def test_import_reports_quarantines_and_lands(run, database: Database, test_data: Path, tmp_path: Path) -> None:
    path = test_data / "daily/SPY_2008-2018_yahoo.csv"
    result = run(path, "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    (file,) = said["files"]
    assert (file["rows"], file["accepted"], file["quarantined"]) == (2519, 2517, 2)
    assert said["reasons"] == {"ohlc_inconsistent": 2}
    assert said["next"] == ["trading-platform backfill SPY --timeframe 1d"]

    kept = QuarantineStore(database).read("SPY", Timeframe.D1)
    lines = path.read_text().splitlines()
    assert kept["origin"].unique().to_list() == [str(path)]
    assert [lines[line - 1] for line in kept["line"]] == kept["record"].to_list()
    assert sorted(f"{time:%Y-%m-%d}" for time in kept["time"]) == ["2015-03-05", "2015-03-30"]

    spy = InstrumentStore(database).get("SPY")
    assert spy is not None
    assert (spy.source, spy.calendar) == ("file", "XNYS")
    always = Window(datetime(2000, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC))
    response = FileSource(tmp_path / "data" / "imports").bars(spy, Timeframe.D1, always)
    assert response.bars.height == 2517


def test_importing_again_is_no_failure_and_changes_nothing(run, database: Database, test_data: Path) -> None:
    path = test_data / "daily/SPY_2008-2018_yahoo.csv"
    run(path)
    before = QuarantineStore(database).read(limit=10_000)
    force = run(path, "--json")
    assert force.exit_code == 0
    assert json.loads(force.stdout)["files"][0]["status"] == "already imported"
    assert QuarantineStore(database).read(limit=10_000).equals(before)


@pytest.mark.exhaustive
def test_every_real_folder_ends_in_the_quarantine_or_the_landing_area(run, database: Database, test_data: Path) -> None:
    folders = ("daily", "daily/corporate_actions", "hourly", "minute")
    paths = [path for folder in folders for path in sorted((test_data / folder).iterdir()) if path.is_file()]
    result = run(*paths, "--json")
    assert result.exit_code == 1  # the monthly file and the factor files cannot be used
    files = json.loads(result.stdout)["files"]
    assert len(files) == len(paths)
    stored = QuarantineStore(database).read(limit=100_000)
    for file in files:
        assert file["accepted"] + file["quarantined"] == file["rows"]
        rows = stored.filter(pl.col("origin") == file["origin"])
        assert rows["row_count"].sum() == file["quarantined"]
    assert [Path(file["origin"]).name for file in files if file["status"] == "rejected"] == [
        "BTCUSD_monthly_2012-2024.csv",
        "aapl_factor_file.csv",
        "iwm_factor_file.csv",
        "spy_factor_file.csv",
    ]


def test_unreadable_files_are_kept_in_mind(run, database: Database, tmp_path: Path) -> None:
    broken = tmp_path / "KO_daily.csv"
    broken.write_bytes(b"\x00\xff" * 100)
    empty = tmp_path / "PEP_daily.csv"
    empty.touch()
    assert run(broken, empty).exit_code == 1
    stored = QuarantineStore(database).read(limit=100_000).filter(pl.col("origin").is_in([str(broken), str(empty)]))
    assert stored["reason"].to_list() == ["unreadable_file"] * 2
    assert stored["line"].null_count() == 2


def test_bytes_a_database_cannot_hold_are_kept_nevertheless(run, database: Database, tmp_path: Path) -> None:
    path = tmp_path / "KO_daily.csv"
    path.write_text("date,open,high,low,close\n2020-01-02,1,1,1,1\n2020-01-03,\x01é\ud7ff,1,1,1\n", encoding="utf-8")
    assert run(path).exit_code == 0
    stored = QuarantineStore(database).read(limit=100_000).filter(pl.col("origin") == str(path))
    assert stored["reason"].to_list() == ["unreadable_number"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("nothing.csv",),
        ("{folder}",),
        ("{real}", "--symbol", "not a symbol"),
        ("{real}", "--timeframe", "2d"),
        ("{real}", "--timezone", "Mars/Olympus"),
        ("{nameless}",),
    ],
)
def test_bad_requests_are_clear_errors(run, test_data: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    real = test_data / "daily/KO_daily.csv"
    nameless = tmp_path / "prices.csv"
    nameless.write_bytes(real.read_bytes())
    result = run(*(text.format(real=real, nameless=nameless, folder=tmp_path) for text in arguments))
    assert isinstance(result.exception, InvalidRequest)
    assert result.exception.remedy
    assert not (tmp_path / "data" / "imports").exists()


def test_without_a_database_nothing_is_landed(
    run, test_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/nothing?connect_timeout=2")
    result = run(test_data / "daily/SPY_2008-2018_yahoo.csv")
    assert isinstance(result.exception, StoreError)
    assert not (tmp_path / "data" / "imports").exists()


def test_summary_for_a_person_says_what_comes_next(run, test_data: Path) -> None:
    result = run(test_data / "daily/SPY_2008-2018_yahoo.csv")
    assert "Next: trading-platform backfill SPY --timeframe 1d" in result.output
    assert "ohlc_inconsistent" in result.output


def test_krakens_archives_are_its_own_bars_and_other_files_are_not(run, database: Database, tmp_path: Path) -> None:
    start = 1_740_787_200
    rows = [f"{start + 60 * number},10,12,9,11,0.5,3" for number in (0, 1, 4)]
    archive = write_zip(
        tmp_path / "Kraken_OHLCVT_Q1_2025.zip", {"XDGEUR_1.csv": rows, "XDGEUR_5.csv": [], "ABCEUR_1.csv": []}
    )
    nobody = run(archive)
    assert isinstance(nobody.exception, InvalidRequest)
    assert "--symbol" in str(nobody.exception.expected)
    said = json.loads(run(archive, "--symbol", "dogeeur", "--json").stdout)
    (file,) = said["files"]
    assert (file["symbol"], file["timeframe"], file["rows"], file["accepted"]) == ("DOGEEUR", "1m", 3, 3)
    assert file["registered"]
    assert said["next"] == ["trading-platform backfill DOGEEUR --timeframe 1m"]
    doge = InstrumentStore(database).get("DOGEEUR")
    assert doge is not None
    assert doge.source == "kraken"
    landed = KrakenArchive(tmp_path / "data" / "imports")
    (span,) = landed.spans("DOGEEUR", Timeframe.M1)
    (response,) = landed.responses("DOGEEUR", Timeframe.M1, span)
    assert response.bars["quality"].to_list() == ["traded", "traded", "no_trade", "no_trade", "traded"]
    assert "already imported" in run(archive).output  # now the universe has it
    csv = tmp_path / "ETHXBT_1.csv"
    csv.write_text("".join(f"{row}\n" for row in rows))
    assert run(csv).exit_code == 0
    eth = InstrumentStore(database).get("ETHBTC")
    assert eth is not None
    assert eth.source == "file"
    rejected = run(csv, "--source", "kraken", "--symbol", "ETHBTC")
    assert isinstance(rejected.exception, InvalidRequest)
    assert "instruments add ETHBTC --source kraken" in str(rejected.exception.remedy)


@pytest.mark.exhaustive
def test_a_small_archive_does_not_fill_the_quarantine(run, database: Database, tmp_path: Path) -> None:
    """Of its wrong rows some are listed, the others are counted; a second import changes nothing."""
    wrong = 11_000
    rows = ["Date,Open,High,Low,Close,Volume", "2024-01-02,1,1,1,1,1", *["2024-01-03,x,1,1,1,1"] * wrong]
    archive = write_zip(tmp_path / "bomb.zip", {"QQQ_daily.csv": rows, "IWM_daily.csv": rows})
    assert archive.stat().st_size < 10_000
    for _ in range(2):
        result = run(archive, "--json")
        assert result.exit_code == 0, result.output
        said = json.loads(result.stdout)
        assert [file["quarantined"] for file in said["files"]] == [wrong, wrong]
    kept = database.rows(
        "SELECT count(*), sum(row_count)::bigint, max(row_count) FROM market_data.quarantine"
        " WHERE origin LIKE %(path)s",
        {"path": f"{archive}%"},
    )
    assert kept == [(10_004, 2 * wrong, wrong - 1)]  # of each file the time once, and the number of its other rows
    counted = QuarantineStore(database).read(limit=4)
    assert "10999 further rows from there on, not listed: at most 10000 of a file are" in counted["detail"].to_list()
