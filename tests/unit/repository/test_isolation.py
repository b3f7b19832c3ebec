"""Tests see nothing of their user: not the environment, not a ``.env``, not what the shell does with signals."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from isolation import isolated
from waiting import LONG

from trading_platform.settings import Settings, load_settings

TESTS = Path(__file__).parents[2]
THEIRS = "of-the-user"
OTHERS = """
PGHOST PGUSER PGPASSWORD PGSERVICE PGOPTIONS PGSSLMODE DAGSTER_HOME DAGSTER_EVENT_BATCH_SIZE HTTP_PROXY https_proxy TZ
LANG LC_ALL LC_NUMERIC LANGUAGE COLUMNS LINES NO_COLOR FORCE_COLOR CLICOLOR TERM GITHUB_ACTIONS XDG_RUNTIME_DIR
XDG_CACHE_HOME POLARS_MAX_THREADS PYTHONUTF8 PYTHONWARNINGS PYTHONIOENCODING SETTINGS_FILE PGPASSFILE PGSERVICEFILE
""".split()

IGNORING = """
import signal, subprocess
from isolation import signals_reach_children
ended = []
for reach in (False, True):
    for number in (signal.SIGINT, signal.SIGHUP):
        def started():
            return subprocess.Popen(["sleep", "60"])
        if reach:
            with signals_reach_children():
                child = started()
        else:
            child = started()
        child.send_signal(number)
        try:
            ended.append(child.wait(600 if reach else 0.5))
        except subprocess.TimeoutExpired:
            child.kill()
            ended.append("stayed")
        child.wait()
print(ended, signal.getsignal(signal.SIGINT) is signal.SIG_IGN)
"""


@pytest.mark.parametrize("spelt", [str.upper, str.lower, str.title])
def test_no_setting_of_the_user_is_left(spelt: Callable[[str], str]) -> None:
    users = {spelt(name): THEIRS for name in Settings.model_fields} | dict.fromkeys(OTHERS, THEIRS)
    for_tests = {"PATH": "/bin", "TEST_TIMESCALE_DSN": "postgresql://x/y", "TRADING_TEST_DATA": "/data"}
    left = isolated(users | for_tests)
    assert THEIRS not in left.values()
    assert left.items() >= for_tests.items()


def test_tests_run_in_such_an_environment() -> None:
    code = "import os, sys; sys.path[:0] = sys.argv[1:]; import conftest; print(dict(os.environ))"
    theirs = dict.fromkeys([*Settings.model_fields, *OTHERS], THEIRS)
    theirs |= {"PYTHONUTF8": "1", "PYTHONIOENCODING": "latin-1"}
    command = [sys.executable, "-c", code, str(TESTS), str(TESTS / "support")]
    found = subprocess.run(command, env=isolated({}) | theirs, capture_output=True, text=True, check=True).stdout
    assert THEIRS not in found
    assert "TZ" in found


def test_no_file_of_settings_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("REDIS_URL=redis://theirs\nDATABASE_URL=postgresql://theirs/x\nIBKR_HOST=theirs\n")
    monkeypatch.chdir(tmp_path)
    assert load_settings() == Settings(_env_file=None)
    assert Settings() == Settings(_env_file=None)
    monkeypatch.delenv("SETTINGS_FILE")
    assert load_settings().ibkr_host == "theirs", "as it is for a user"


def test_what_tests_start_in_the_background_ends_on_its_signals() -> None:
    command = ["sh", "-c", 'trap "" INT HUP; exec "$0" -c "$1"', sys.executable, IGNORING]
    found = subprocess.run(
        command,
        env=isolated({"PYTHONPATH": str(TESTS / "support")}),
        capture_output=True,
        text=True,
        check=True,
        timeout=LONG,
    )
    assert found.stdout.strip() == "['stayed', 'stayed', -2, -1] True"


def test_one_place_empties_a_redis() -> None:
    found = {
        path.name
        for path in TESTS.rglob("*.py")
        if re.search(r"\.flush(all|db)\(|FLUSH(ALL|DB)", path.read_text(encoding="utf-8"))
    }
    assert found - {Path(__file__).name} == {"redis_servers.py"}
