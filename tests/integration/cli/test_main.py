"""The command line as such: help, interruption, output that can be piped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer
from commands import IN_BACKGROUND, Installation, finish, installation, kill, rows
from daily_bars import years_of_days
from processes import REPOSITORY, environment
from properties import some_usual
from waiting import DEADLINE, wait_until

from trading_platform.cli.commands import COMMANDS as COMMAND_LIST
from trading_platform.cli.commands import help_text
from trading_platform.cli.main import app
from trading_platform.embedded.stack import Endpoints
from trading_platform.settings import Settings

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


@pytest.mark.exhaustive
def test_an_interrupted_backfill_says_that_it_goes_on_from_there(ours: Installation, tmp_path: Path) -> None:
    assert ours.run("import", years_of_days(tmp_path / "IWM_daily.csv")).code == 0
    process = ours.start("backfill", "IWM", "-t", "1d")
    stored = "SELECT FROM market_data.coverage WHERE symbol = 'IWM'"
    try:
        wait_until(lambda: process.poll() is not None or rows(ours.database_url, stored), "the first partition")
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


AFTER_DAGSTER = """
import time
from dagster import job, op
from trading_platform.cli.signals import end_on_signals

@op
def nothing():
    pass

@job
def work():
    nothing()

end_on_signals()
try:
    work.execute_in_process(run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}})
    print("ready", flush=True)
    time.sleep(3600)
except KeyboardInterrupt:
    print("ended in order")
"""


@pytest.mark.exhaustive
@pytest.mark.parametrize("through", [(), IN_BACKGROUND], ids=["terminal", "background"])
def test_sigterm_ends_a_command_that_dagster_had_run_in(through: tuple[str, ...]) -> None:
    """Dagster gives SIGTERM the handler of SIGINT, and what is started in the background ignores that."""
    with subprocess.Popen(
        [*through, sys.executable, "-c", AFTER_DAGSTER], stdout=subprocess.PIPE, text=True, env=environment(),
        cwd=REPOSITORY,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.terminate()
            assert finish(process).out == "ended in order\n"
        finally:
            process.kill()


def test_a_reader_that_leaves_early_is_no_failure(ours: Installation) -> None:
    process = ours.start("instruments", "list", "--json")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    said = process.stderr.read()
    assert process.wait(DEADLINE) in (0, 1)
    assert "Traceback" not in said


@pytest.mark.parametrize("unbuffered", some_usual([None, "1"]))
@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["instruments", "list"], ["limits", "--json"]], ids=" ".join
)
def test_output_that_cannot_be_written_is_said(
    ours: Installation, arguments: list[str], unbuffered: str | None
) -> None:
    into_full = ("sh", "-c", 'exec "$@" > /dev/full', "sh")
    found = finish(ours.start(*arguments, more={"PYTHONUNBUFFERED": unbuffered}, through=into_full))
    assert found.code == 1
    assert "To do: " in found.err
    assert "space" in found.err
    assert "Traceback" not in found.err
    assert "unexpected" not in found.err


def test_results_and_progress_do_not_mix(ours: Installation) -> None:
    found = ours.run("instruments", "add", "GOOG", "--sector", "technology", "--json")
    assert found.json["symbol"] == "GOOG"
    assert found.err == ""
    assert [entry["symbol"] for entry in ours.run("instruments", "list", "--json").json if entry["sector"]] == ["GOOG"]
    assert ours.run("instruments", "remove", "GOOG", "--json").json == {"removed": "GOOG"}


def loaded_by(ours: Installation, *arguments: str) -> set[str]:
    """The packages that a command imports."""
    program = str(Path(sys.executable).with_name("trading-platform"))
    said = subprocess.run(
        [sys.executable, "-X", "importtime", program, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=ours.environment(),
        cwd=ours.data_dir,
    ).stderr
    return {line.rpartition("|")[2].strip() for line in said.splitlines()}


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--version"]])
def test_the_list_of_commands_needs_no_library(ours: Installation, arguments: list[str]) -> None:
    modules = loaded_by(ours, *arguments)
    assert "trading_platform.cli.commands" in modules
    assert not modules & {"typer", "rich", "pydantic", "polars", "trading_platform.settings"}


@pytest.mark.parametrize("arguments", some_usual([["coverage"], ["instruments", "list"], ["gaps"]]))
def test_a_reading_command_loads_only_what_it_reads_with(ours: Installation, arguments: list[str]) -> None:
    assert ours.run("instruments", "add", "QQQ").code == 0
    modules = loaded_by(ours, *arguments)
    assert {"typer", "polars", "psycopg"} <= modules
    unwanted = {"dagster", "sqlalchemy", "alembic", "pandas", "exchange_calendars", "yfinance", "krakenex", "talib"}
    assert not modules & unwanted


def test_help_has_the_first_sentence_of_every_command_in_groups() -> None:
    text = help_text(200)
    for command in COMMAND_LIST:
        loaded = typer.main.get_command(app).commands[command.name]
        first = " ".join((loaded.help or "").split("\n\n")[0].split())
        assert command.summary == first
        assert (f"  {command.name} " in text) is not command.hidden
    lines = help_text(80).splitlines()
    assert max(map(len, lines)) <= 80
    assert {"Try it", "Market data", "Quality", "Live", "Operations", "Options"} <= set(lines)


def test_completion_knows_commands_and_options(ours: Installation) -> None:
    for words, expected in (("ba", "backfill"), ("backfill --fo", "--force"), ("instruments re", "remove")):
        arguments = f"trading-platform {words}".split()
        more = {"_TRADING_PLATFORM_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(arguments)}
        found = ours.run(more={**more, "COMP_CWORD": str(len(arguments) - 1)})
        assert expected in found.out.split(), found.text


@pytest.mark.exhaustive
def test_the_first_command_that_starts_the_servers_says_how_to_keep_them(
    new_settings: Callable[..., Settings],
) -> None:
    alone = Installation(new_settings().root)
    first, second = alone.run("instruments", "list"), alone.run("instruments", "list")
    assert first.err.count("`trading-platform up` keeps the servers running") == 1
    assert second.err == ""
