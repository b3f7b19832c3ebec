"""Real files through Dagster: every accepted row is stored, every check evaluated, nothing done twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import Installation, installation, rows, tables
from properties import some_usual

from trading_platform.checks.asset_checks import asset_checks
from trading_platform.domain.features.built_in import BUILT_IN
from trading_platform.embedded.stack import Endpoints
from trading_platform.stores.features.files import FeatureStore

pytestmark = pytest.mark.slow

FILES = {
    "SPY": "SPY_2008-2018_yahoo.csv",
    "GOOG": "GOOG_2004-2013.csv",
    "AAPL": "AAPL_2004-2018_yahoo.csv",
    "EURUSD": "EURUSD_oanda_lean_daily_quote.csv",
    "BTCUSD": "BTCUSD_coinbase_lean_daily_trade.csv",
}
REJECTED = {"SPY": 2}
"""Rows that break a rule, by the description of the data."""
MISSING = {"EURUSD": 7, "BTCUSD": 34}
"""Days that a daily file leaves out though its market was open: five in a row in December 2016 and two more, and the
eight holes of the thin start of Bitcoin."""


def data_rows(path: Path) -> int:
    return len(path.read_text().splitlines()) - 1


@pytest.fixture(scope="module", params=some_usual(["SPY BTCUSD", " ".join(FILES)]))
def files(request: pytest.FixtureRequest) -> dict[str, str]:
    """The files that are imported, by symbol."""
    return {symbol: FILES[symbol] for symbol in request.param.split()}


def command(files: dict[str, str]) -> list[str]:
    return ["backfill", *files, "-t", "1d", "--json"]


@pytest.fixture(scope="module")
def ours(stack: Endpoints, test_data: Path, files: dict[str, str]) -> Iterator[Installation]:
    with installation(stack.database_url) as made:
        found = made.run("import", *(test_data / "daily" / name for name in files.values()), "--json")
        assert found.code == 0, found.text
        yield made


@pytest.fixture(scope="module")
def first(ours: Installation, files: dict[str, str]) -> dict[str, Any]:
    """What the first backfill said."""
    found = ours.run(*command(files))
    assert found.code == 0, found.text
    return dict(found.json)


def test_every_accepted_row_of_the_files_is_stored(
    first: dict[str, Any], ours: Installation, files: dict[str, str], test_data: Path
) -> None:
    in_files = {symbol: data_rows(test_data / "daily" / name) for symbol, name in files.items()}
    expected = {symbol: count - REJECTED.get(symbol, 0) for symbol, count in in_files.items()}
    stored = rows(ours.database_url, "SELECT symbol, count(*) FROM market_data.bars_1d GROUP BY symbol")
    assert dict(stored) == expected
    assert {line["symbol"]: line["stored"] for line in first["symbols"]} == expected
    assert {line["symbol"]: line["rejected"] for line in first["symbols"]} == {
        symbol: REJECTED.get(symbol, 0) for symbol in files
    }
    assert {line["symbol"]: line["missing"] for line in first["symbols"]} == {
        symbol: MISSING.get(symbol, 0) for symbol in files
    }
    assert all(line["failed"] is None for line in first["symbols"])
    counts = ("stored", "empty", "rejected", "missing")
    assert all(line["expected"] == sum(line[name] for name in counts) for line in first["symbols"])


@pytest.mark.usefixtures("first")
def test_indicators_and_features_have_a_row_a_bar(ours: Installation, files: dict[str, str]) -> None:
    missing = rows(
        ours.database_url,
        "SELECT count(*) FROM market_data.bars_1d AS bar FULL JOIN market_data.indicators_1d AS made"
        " USING (symbol, time) WHERE bar.symbol IS NULL OR made.symbol IS NULL",
    )
    assert missing == [(0,)]
    for symbol in files:
        target = ours.data_dir / f"{symbol}.csv"
        assert ours.run("export", "features", target, "-s", symbol).code == 0
        lines = target.read_text().splitlines()
        assert set(BUILT_IN.names) <= set(lines[0].split(","))
        stored = rows(ours.database_url, "SELECT count(*) FROM market_data.bars_1d WHERE symbol = %s", [symbol])
        assert len(lines) - 1 == stored[0][0]
    assert FeatureStore(ours.data_dir / "features").symbols() == sorted(files)


def test_every_check_is_evaluated_and_none_that_blocks_fails(first: dict[str, Any]) -> None:
    daily = {"ohlcv_1d", "indicators_1d", "features"}
    defined = {
        (spec.asset_key.to_user_string(), spec.name)
        for definition in asset_checks
        for spec in definition.check_specs
        if spec.asset_key.to_user_string() in daily
    }
    assert {asset for asset, _ in defined} == daily
    assert {(check["asset"], check["check"]) for run in first["runs"] for check in run["checks"]} == defined
    for run in first["runs"]:
        assert run["error"] is None
        failed = {check["check"] for check in run["checks"] if not check["passed"] and check["severity"] == "ERROR"}
        assert failed <= ({"completeness"} if set(run["symbols"]) & set(MISSING) else set())


def test_every_partition_is_materialized(first: dict[str, Any], ours: Installation) -> None:
    found = rows(
        ours.variables["DAGSTER_DATABASE_URL"],
        "SELECT asset_key, count(DISTINCT partition) FROM event_logs"
        " WHERE dagster_event_type = 'ASSET_MATERIALIZATION' AND event NOT LIKE '%before the available history%'"
        " GROUP BY asset_key",
    )
    partitions = sum(line["partitions"] for line in first["symbols"])
    assert {json.loads(key)[0]: count for key, count in found} == dict.fromkeys(
        ("ohlcv_1d", "indicators_1d", "features"), partitions
    )


def test_its_runs_are_shown_with_the_jobs_of_the_code_location(first: dict[str, Any], ours: Installation) -> None:
    found = rows(
        ours.variables["DAGSTER_DATABASE_URL"],
        "SELECT run.run_id, run.pipeline_name, tag.value FROM runs AS run LEFT JOIN run_tags AS tag"
        " ON tag.run_id = run.run_id AND tag.key = '.dagster/repository'",
    )
    label = "__repository__@trading_platform.definitions"
    assert {run_id: (name, value) for run_id, name, value in found} == {
        run["run_id"]: ("daily", label) for run in first["runs"]
    }


@pytest.mark.usefixtures("first")
def test_a_second_run_and_a_second_import_do_nothing(
    ours: Installation, files: dict[str, str], test_data: Path
) -> None:
    before = tables(ours.database_url)
    written = {path: path.stat().st_mtime_ns for path in (ours.data_dir / "features").rglob("*.parquet")}
    found = ours.run(*command(files))
    assert found.json["runs"] == []
    found = ours.run("import", *(test_data / "daily" / name for name in files.values()), "--json")
    assert {file["status"] for file in found.json["files"]} == {"already imported"}
    assert ours.run(*command(files)).json["runs"] == []
    assert tables(ours.database_url) == before
    assert {path: path.stat().st_mtime_ns for path in (ours.data_dir / "features").rglob("*.parquet")} == written


@pytest.mark.exhaustive
@pytest.mark.usefixtures("first")
def test_asking_again_changes_nothing_that_is_stored(ours: Installation) -> None:
    found = ours.run("export", "bars", ours.data_dir / "before.csv", "-s", "SPY")
    assert found.code == 0
    found = ours.run("backfill", "SPY", "-t", "1d", "--start", "2010-01-01", "--end", "2011-01-01", "--force", "--json")
    assert found.code == 0, found.text
    assert [run["partitions"] for run in found.json["runs"]] == [1]
    ours.run("export", "bars", ours.data_dir / "after.csv", "-s", "SPY")
    assert (ours.data_dir / "after.csv").read_text() == (ours.data_dir / "before.csv").read_text()


def daily(year: int) -> str:
    rows = (f"{year}-03-{day:02d},5,6,4,5,10" for day in range(1, 29))
    return "\n".join(["date,open,high,low,close,volume", *rows])


@pytest.mark.exhaustive
def test_bars_from_before_the_first_partition_are_left_out_and_the_rest_goes_on(
    stack: Endpoints, tmp_path: Path
) -> None:
    minutes = [f"2012-12-31T23:{minute}:00Z,5,6,4,5,10" for minute in range(50, 60)]
    minutes += [f"2013-01-01T00:0{minute}:00Z,5,6,4,5,10" for minute in range(9)]
    files = {
        "BTCUSD_1d.csv": "\n".join([daily(1989), *daily(1990).splitlines()[1:]]),
        "ETHUSD_1d.csv": daily(2015),
        "LTCUSD_1m.csv": "\n".join(["time,open,high,low,close,volume", *minutes]),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with installation(stack.database_url) as made:
        imported = made.run("import", *(tmp_path / name for name in files), "--json")
        assert imported.code == 0, imported.text
        notes = [file["assumption"] for file in imported.json["files"]]
        assert "28 bars are from before 1990-01-01" in notes[0]
        assert "before" not in notes[1]
        assert "10 bars are from before 2013-01-01" in notes[2]
        found = made.run("backfill", "--json")
        assert found.code == 0, found.text
        lines = {(line["symbol"], line["timeframe"]): line for line in found.json["symbols"]}
        assert lines["BTCUSD", "1d"]["stored"] == lines["ETHUSD", "1d"]["stored"] == 28
        assert lines["LTCUSD", "1m"]["stored"] == 9
        assert "1989-03-01 to 1990-01-01 are left out: 1d bars" in lines["BTCUSD", "1d"]["left_out"]
        assert "2012-12-31 to 2013-01-01 are left out: 1m bars" in lines["LTCUSD", "1m"]["left_out"]
        assert lines["ETHUSD", "1d"]["left_out"] is None
        said = made.run("backfill", "BTCUSD", "-t", "1d")
        assert "BTCUSD 1d: bars of 1989-03-01 to 1990-01-01 are left out" in said.text


def test_a_file_of_older_bars_alone_is_refused_at_import(stack: Endpoints, tmp_path: Path) -> None:
    path = tmp_path / "KO_1d.csv"
    path.write_text(daily(1970))
    with installation(stack.database_url) as made:
        found = made.run("import", path, "--json")
        assert found.code == 1
        assert "before 1990-01-01" in found.json["files"][0]["detail"]
