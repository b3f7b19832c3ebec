"""The commands ``features list``, ``show`` and ``test``: what they say, without a server."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from definition_files import GAP, declared, label, write
from feature_rows import YEAR, rows
from typer.testing import CliRunner, Result

from trading_platform.cli.main import app
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.features.built_in import BUILT_IN
from trading_platform.domain.time import Window
from trading_platform.stores.features.definitions import load_definitions
from trading_platform.stores.features.files import FeatureStore
from trading_platform.stores.features.recorded.manifests import Contents
from trading_platform.workflows.features.statistics import record_statistics


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of definitions, named by the setting."""
    definitions = tmp_path / "definitions"
    write(definitions, "mine.py", f"gap = {GAP}\n" + label("ahead", 5, 'pl.col("close").shift(-5) / pl.col("close")'))
    monkeypatch.setenv("FEATURE_DEFINITIONS", str(definitions))
    monkeypatch.setenv("FEATURES_DIR", str(tmp_path / "features"))
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return definitions


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["features", *words])


def test_list_shows_features_labels_and_what_awaits_its_source(folder: Path) -> None:
    done = run("list")
    assert done.exit_code == 0, done.output
    for name in (*BUILT_IN.names, "overnight_gap", "ahead"):
        assert name in done.output
    assert done.output.index("Labels, which look ahead") < done.output.index("ahead  ")
    assert "social_volume_7d: no source of social media is connected" in done.output
    entries = {entry["feature_name"]: entry for entry in json.loads(run("list", "--json").stdout)["definitions"]}
    assert entries["returns_1d"]["needed_by"] == ["volatility_20d", "market_beta_60d"]
    assert (entries["ahead"]["kind"], entries["ahead"]["horizon_bars"]) == ("label", 5)
    assert entries["overnight_gap"]["defined_in"] == "mine.py"
    assert {entry["frequency"] for entry in entries.values()} == {"1d"}
    assert folder.is_dir()


def test_what_a_file_prints_is_no_part_of_the_answer(folder: Path) -> None:
    write(folder, "loud.py", f"print('loaded')\nloud = {GAP.replace('overnight_gap', 'loud')}\n")
    assert "loud" in {entry["feature_name"] for entry in json.loads(run("list", "--json").stdout)["definitions"]}


def test_list_names_what_is_left_out(folder: Path) -> None:
    write(folder, "other.py", "x = 1\nx = 1 / 0\n")
    done = run("list")
    assert done.exit_code == 1
    assert "Left out: other.py, line 5: ZeroDivisionError: division by zero" in done.output
    assert "overnight_gap" in done.output


def test_show_explains_a_feature_and_its_stored_values(folder: Path, tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "features", definitions=load_definitions(folder))
    wave = (pl.int_range(pl.len()) % 11).cast(pl.Float64)
    store.replace(rows(YEAR).with_columns(rsi_14=wave, overnight_gap=pl.lit(0.5)), "AAPL", YEAR)
    done = run("show", "rsi_14")
    assert done.exit_code == 0, done.output
    words = " ".join(done.output.split())
    for said in (
        "indicator.rsi_14",
        "warm-up 700 bars",
        "available at the close of the bar",
        f"1 {store.definitions.hashes['rsi_14']} 12 yes",
        "AAPL 366 2024-01-01 2024-12-31 0.0%",
    ):
        assert said in words
    assert any(set(line) & set("▁▂▃▄▅▆▇█") for line in done.output.splitlines())
    said = json.loads(run("show", "overnight_gap", "--json").stdout)
    assert said["values"][0]["mean"] == 0.5
    assert said["stored"] == [
        {"version": 1, "definition_hash": said["definition_hash"], "months": 12, "is_current": True}
    ]
    write(folder, "mine.py", f"gap = {GAP.replace('shift(1)', 'shift(2)')}\n")
    assert [each["is_current"] for each in json.loads(run("show", "overnight_gap", "--json").stdout)["stored"]] == [
        False
    ]


def test_show_prints_months_and_the_distribution_over_the_bins(folder: Path, tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "features", definitions=load_definitions(folder))
    wave = (pl.int_range(pl.len()) % 11).cast(pl.Float64)
    store.replace(rows(YEAR).with_columns(rsi_14=wave, overnight_gap=pl.lit(0.5)), "AAPL", YEAR)
    record_statistics(store, [("AAPL", YEAR)])
    lines = [" ".join(line.split()) for line in run("show", "rsi_14").output.splitlines()]
    assert "Months of 1 symbol (population stability indices)" in lines
    (may,) = (line for line in lines if line.startswith("2024-05 "))
    assert may.startswith("2024-05 31 0.0% 4.71 ")
    (highest,) = (line for line in lines if line.startswith("9 "))
    assert highest.startswith("9 66 ██")
    said = json.loads(run("show", "rsi_14", "--json").stdout)
    assert said["bin_edges"] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert len(said["months"]) == 12
    assert sum(sum(each["counts"]) for each in said["months"]) == 366
    assert said["months"][0]["to_month_before"] is None
    assert 0 <= said["months"][4]["to_baseline"] < 0.25


def test_show_of_a_file_from_before_and_of_one_without_values(folder: Path, tmp_path: Path) -> None:
    assert "No values are stored" in run("show", "rsi_14").output
    file = tmp_path / "features" / "symbol=AAPL" / "2024-01" / "features.parquet"
    file.parent.mkdir(parents=True)
    rows(Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC))).write_parquet(file)
    assert "unknown  unknown          1  no" in run("show", "rsi_14").output
    assert "MSFT: no values are stored." in run("show", "rsi_14", "-s", "msft").output
    assert folder.is_dir()


def test_show_of_a_label_and_of_an_unknown_name(folder: Path) -> None:
    done = run("show", "ahead")
    assert "looks ahead 5 bars" in " ".join(done.output.split())
    assert "close of the bar 5 bars later" in done.output
    failed = run("show", "overnight_gab")
    assert isinstance(failed.exception, InvalidRequest)
    assert failed.exception.remedy == "did you mean overnight_gap?"
    assert folder.is_dir()


def test_test_says_what_failed_and_ends_with_one(folder: Path, tmp_path: Path) -> None:
    text = declared("bad", 'pl.col("close").shift(-1) / pl.col("close")') + declared("Worse", 'pl.col("close")')
    file = write(tmp_path, "draft.py", text)
    done = run("test", str(file))
    assert done.exit_code == 1
    assert "draft.py, line 5: A feature cannot have this name." in done.output
    file = write(tmp_path, "draft.py", text.splitlines()[0])
    said = json.loads(run("test", str(file), "--json").stdout)
    failed = {each["check"]: each["detail"] for each in said["findings"] if each["result"] == "failed"}
    assert "it uses what was not known" in failed["look-ahead"]
    assert "draft.py is not ready" in run("test", str(file)).output
    assert folder.is_dir()


def test_test_may_use_what_the_folder_defines(folder: Path, tmp_path: Path) -> None:
    text = declared("twice", 'pl.col("overnight_gap") * 2', 'feature("overnight_gap")', warm_up=1)
    done = run("test", str(write(tmp_path, "draft.py", text)))
    assert done.exit_code == 0, done.output
    assert "draft.py passed" in done.output
    missing = run("test", str(tmp_path / "absent.py"))
    assert isinstance(missing.exception, InvalidRequest)
    assert folder.is_dir()


def test_snapshots_are_listed_and_explained(folder: Path, tmp_path: Path) -> None:
    assert "No snapshot is saved" in run("snapshots").output
    store = FeatureStore(tmp_path / "features", definitions=load_definitions(folder))
    store.replace(rows(YEAR).with_columns(overnight_gap=pl.lit(0.5)), "AAPL", YEAR)
    with store.snapshots.saving("mine") as saving:
        read = store.read(["AAPL"], YEAR, ["rsi_14"], saving.months(store.live))
        saved = saving.save(read, Contents({"names": ["rsi_14"]}))
    listed = " ".join(run("snapshots").output.split())
    assert f"mine {saved.manifest.created_at:%Y-%m-%d %H:%M:%S} 366 4 12" in listed
    shown = " ".join(run("snapshot", "show", "mine").output.split())
    for said in (saved.manifest.data, "12 files", "names ['rsi_14']", f"1 {store.definitions.hashes['overnight_gap']}"):
        assert said in shown
    facts = json.loads(run("snapshot", "show", "mine", "--json").stdout)
    assert facts == json.loads(run("snapshots", "--json").stdout)[0]
    assert (facts["data"], facts["rows"]) == (saved.manifest.data, 366)
    failed = run("snapshot", "show", "yours")
    assert isinstance(failed.exception, InvalidRequest)
    assert failed.exception.expected == "one of mine"
