"""The command line as such: help, interruption, output that can be piped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Installation, finish, installation, kill, rows

from trading_platform.embedded.stack import Endpoints

COMMANDS = [
    ["demo"],
    ["up"],
    ["down"],
    ["status"],
    ["doctor"],
    ["simulate-exchange"],
    ["import"],
    ["export"],
    ["backfill"],
    ["coverage"],
    ["verify"],
    ["outages"],
    ["instruments", "add"],
    ["instruments", "remove"],
    ["instruments", "list"],
    ["db", "upgrade"],
    ["db", "status"],
]


@pytest.fixture(scope="module")
def ours(stack: Endpoints) -> Iterator[Installation]:
    with installation(stack.database_url) as made:
        yield made


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_with_an_example(ours: Installation, command: list[str]) -> None:
    found = ours.run(*command, "--help")
    assert found.code == 0
    assert f"trading-platform {' '.join(command)}" in found.text.replace("Usage:", "")
    assert "Example" in found.text
    assert found.err == ""


def test_an_interrupted_backfill_says_that_it_goes_on_from_there(ours: Installation, tmp_path: Path) -> None:
    lines = ["date,open,high,low,close,volume"]
    lines += [
        f"{year}-{month:02}-{day:02},1,1,1,1,1"
        for year in range(1995, 2020)
        for month in range(1, 13)
        for day in range(1, 29)
    ]
    path = tmp_path / "IWM_daily.csv"
    path.write_text("\n".join(lines))
    assert ours.run("import", path).code == 0
    process = ours.start("backfill", "IWM", "-t", "1d")
    try:
        while not rows(ours.database_url, "SELECT FROM market_data.coverage WHERE symbol = 'IWM'"):
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGINT)
        found = finish(process)
    finally:
        kill(process)
    assert found.code == 130, found.text
    assert "Interrupted" in found.err
    assert "Traceback" not in found.err
    force = ours.run("backfill", "IWM", "-t", "1d", "--json")
    assert force.code == 0, force.text
    assert [line["missing"] for line in force.json["symbols"]] == [0]


def test_a_reader_that_leaves_early_is_no_failure(ours: Installation) -> None:
    process = ours.start("instruments", "list", "--json")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    said = process.stderr.read()
    assert process.wait(60) in (0, 1)
    assert "Traceback" not in said


def test_results_and_progress_do_not_mix(ours: Installation) -> None:
    found = ours.run("instruments", "add", "GOOG", "--sector", "technology", "--json")
    assert found.json["symbol"] == "GOOG"
    assert found.err == ""
    assert [entry["symbol"] for entry in ours.run("instruments", "list", "--json").json if entry["sector"]] == ["GOOG"]
    assert ours.run("instruments", "remove", "GOOG", "--json").json == {"removed": "GOOG"}


def test_the_command_starts_quickly(ours: Installation) -> None:
    environment = ours.environment()
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import trading_platform.cli.main"],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    ).stderr
    modules = {line.rpartition("|")[2].strip() for line in loaded.splitlines()}
    assert "typer" in modules
    assert not modules & {"dagster", "polars", "pandas", "sqlalchemy", "psycopg", "pyarrow"}
