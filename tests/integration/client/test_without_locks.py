"""Without ``fcntl``, as on Windows, the client works with servers elsewhere, and all else says what it needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from processes import REPOSITORY, environment

from trading_platform.domain.market.instruments import guess_instrument
from trading_platform.stores.config.instruments import InstrumentStore
from trading_platform.stores.postgres.database import Database

WITHOUT = """
import importlib.abc, sys
for name in ("fcntl", "pwd", "grp", "termios"):
    sys.modules.pop(name, None)
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in ("fcntl", "pwd", "grp", "termios"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "fcntl" else found(name, package)
sys.meta_path.insert(0, Absent())
"""


def run(program: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT + program],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        env={**environment(), **more},
    )


@pytest.mark.exhaustive
def test_the_client_reads_from_a_server_elsewhere(database: Database, database_url: str, tmp_path: Path) -> None:
    InstrumentStore(database).add(guess_instrument("SPY", "file"))
    program = (
        "from trading_platform.client import Platform\n"
        "with Platform.connect() as platform:\n"
        "    print(platform.bars('SPY', '1d', '2020-01-01', '2021-01-01').height)\n"
    )
    found = run(program, DATABASE_URL=database_url, DATA_DIR=str(tmp_path), DAGSTER_DATABASE_URL=database_url)
    assert found.returncode == 0, found.stderr
    assert found.stdout == "0\n"


@pytest.mark.parametrize("module", ["client", "settings", "stores.stores", "embedded.stack", "resources.platform"])
def test_every_package_can_be_imported(module: str) -> None:
    found = run(f"import trading_platform.{module}")
    assert found.returncode == 0, found.stderr


def test_embedded_servers_say_what_they_need(tmp_path: Path) -> None:
    program = (
        "from trading_platform.client import Platform\n"
        "from trading_platform.domain.errors import ConfigurationError\n"
        "try:\n"
        "    with Platform.connect(): pass\n"
        "except ConfigurationError as error:\n"
        "    print(error)\n"
    )
    found = run(program, DATA_DIR=str(tmp_path))
    assert "Expected: Linux or macOS" in found.stdout, found.stderr
    assert "DATABASE_URL" in found.stdout


@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 0), (["--version"], 0), (["coverage"], 2), (["up"], 2)])
def test_the_command_line_says_where_it_runs(arguments: list[str], code: int) -> None:
    program = f"sys.argv = ['trading-platform', *{arguments!r}]\nfrom trading_platform.cli.__main__ import main\nmain()"
    found = run(program)
    assert found.returncode == code, found.stderr
    assert "Traceback" not in found.stderr
    assert ("Expected: Linux or macOS" in found.stderr) is (code == 2)
