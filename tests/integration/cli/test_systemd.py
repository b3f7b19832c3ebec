"""The systemd units: what they say is valid, and a supervisor that does what they say keeps the platform running."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from commands import Installation
from processes import answers, environment, free_port
from supervisor import Supervisor
from waiting import wait_until

from trading_platform.cli.operations.systemd import DAGSTER, STORES, STREAM, unit_files
from trading_platform.domain.errors import ConfigurationError, StoreUnavailable
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.embedded.postgres import PostgresServer
from trading_platform.embedded.stack import stack_status
from trading_platform.resources.platform import open_platform
from trading_platform.settings import SETTINGS_FILE, Settings
from trading_platform.simulator.seeded import SeededMarket
from trading_platform.simulator.server import running_exchange, stream_url


def test_the_command_writes_units_of_this_installation(tmp_path: Path) -> None:
    made = Installation(tmp_path)
    found = made.run("systemd", tmp_path / "units", "--port", "3456")
    assert found.code == 0, found.text
    assert {path.name for path in (tmp_path / "units").iterdir()} == {STORES, STREAM, DAGSTER}
    assert f"systemctl --user enable --now {STREAM} {DAGSTER}" in found.out
    text = (tmp_path / "units" / DAGSTER).read_text()
    assert f'ExecStart="{Path(sys.executable).with_name("trading-platform")}" dev --port 3456\n' in text
    assert f"WorkingDirectory={tmp_path}\n" in text


def test_a_folder_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = Installation(tmp_path).run("systemd", tmp_path / "file" / "units")
    assert (found.code, "cannot be written" in found.text) == (2, True), found.text


def test_systemd_finds_nothing_wrong_with_them(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("no systemd-analyze on the PATH (Debian: apt-get install systemd)")
    folder = tmp_path / "of 100% a user"
    folder.mkdir()
    for name, text in unit_files(Settings(_env_file=None, data_dir=folder), folder, 3000).items():  # type: ignore[call-arg]
        (tmp_path / name).write_text(text)
    runtime = {"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(
        [program, "--user", "verify", "--man=no", *(tmp_path / name for name in (STORES, STREAM, DAGSTER))],
        env=environment() | runtime, capture_output=True, text=True, check=False,
    )  # fmt: skip
    about_ours = [line for line in done.stderr.splitlines() if "trading-platform" in line]
    assert about_ours == []


@pytest.mark.parametrize("name", ['quo"ted', "dollar$", "back\\slash", "line\nbreak"])
def test_a_path_that_no_unit_can_hold_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot hold this path"):
        unit_files(Settings(_env_file=None, data_dir=tmp_path), tmp_path / name, 3000)  # type: ignore[call-arg]


@pytest.fixture
def supervised(new_settings: Callable[..., Settings], tmp_path: Path) -> Iterator[tuple[Supervisor, Settings, int]]:
    """Units of a platform of its own, beside a market; nothing is started yet."""
    settings = new_settings()
    port = free_port()
    for name, text in unit_files(settings, tmp_path, port).items():
        (tmp_path / name).write_text(text)
    with running_exchange(SeededMarket(5, ("BTCUSD",), trades_per_minute=200)) as url:
        (tmp_path / ".env").write_text(f"KRAKEN_API_URL={url}\nKRAKEN_WS_URL={stream_url(url)}\n")
        with open_platform(settings) as platform:
            platform.stores.instruments.add(Instrument("BTCUSD", AssetClass.CRYPTO, "24/7", "kraken"))
        users = environment()
        users.pop(SETTINGS_FILE)  # by which tests keep every .env away
        supervisor = Supervisor(tmp_path, users)
        try:
            yield supervisor, settings, port
        finally:
            supervisor.kill()


@pytest.mark.exhaustive
def test_what_is_killed_is_started_again(supervised: tuple[Supervisor, Settings, int]) -> None:
    supervisor, settings, port = supervised
    server = PostgresServer(settings.root)

    def newest_bar() -> object:
        try:
            with psycopg.connect(server.url("trading")) as connection:
                return connection.execute("SELECT max(until) FROM market_data.stream_positions").fetchone()
        except (psycopg.Error, StoreUnavailable):  # on its way
            return None

    for unit in (STREAM, DAGSTER):
        supervisor.start(unit)
    wait_until(lambda: answers(port), "the UI")
    wait_until(lambda: (newest_bar() or (None,))[0], "bars")

    before = supervisor.main[DAGSTER]
    daemon = next(each for each in psutil.Process(before.pid).children(recursive=True) if is_daemon(each))
    daemon.kill()
    wait_until(lambda: supervisor.main[DAGSTER] is not before, "another start of Dagster")
    wait_until(lambda: answers(port), "the UI again")
    assert supervisor.ended[DAGSTER] == [1]

    before, seen = supervisor.main[STREAM], newest_bar()
    os.kill(before.pid, signal.SIGKILL)
    wait_until(lambda: supervisor.main[STREAM] is not before, "another start of the stream")
    wait_until(lambda: newest_bar() not in (None, seen), "further bars")
    assert supervisor.ended[STREAM] == [-signal.SIGKILL]

    supervisor.stop()
    assert supervisor.ended == {DAGSTER: [1, 0], STREAM: [-signal.SIGKILL, 0]}
    assert [part.state for part in stack_status(settings).servers] == ["stopped", "stopped"]


def is_daemon(process: psutil.Process) -> bool:
    return "dagster._daemon" in process.cmdline()
