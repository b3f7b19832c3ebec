"""Tests see nothing of their user's settings; ``conftest.py`` imports this before anything of the platform.

Of the environment there stays what a process needs to run at all, and what is meant for tests: ``TEST_*`` and
``TRADING_TEST_DATA``. All else goes: every setting of the platform, libpq's ``PG*``, Dagster's, the terminal's, the
zone and the language, proxies, and what nobody has thought of. Processes that tests start inherit what is left.
``TEST_TZ`` and ``TEST_LOCALE`` run the tests in another zone and language than those of every other run.
"""

from __future__ import annotations

import locale
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

KEPT = {
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "VIRTUAL_ENV", "SYSTEMROOT"),
    *("PYTHONPATH", "PYTHONHOME", "PYTHONPYCACHEPREFIX"),
    "TRADING_TEST_DATA",
}
KEPT_PREFIXES = ("TEST_", "OPENBLAS_", "PYTEST_", "COV_", "COVERAGE_", "LD_", "DYLD_", "NIX_LD")
"""Of tests, of OpenBLAS (some processors need its settings), of pytest and its plugins, and of how programs find their
libraries. Without PYTHONDONTWRITEBYTECODE: each process would compile all its modules again."""

NOWHERE = "/nonexistent"


def isolated(environment: Mapping[str, str]) -> dict[str, str]:
    """What tests and the processes they start get of an environment."""
    from trading_platform.settings import SETTINGS_FILE, Settings  # noqa: PLC0415 - after the first step of isolate()

    kept = {
        name: value
        for name, value in environment.items()
        if (name in KEPT or name.startswith(KEPT_PREFIXES)) and name.lower() not in Settings.model_fields
    }
    return kept | {
        SETTINGS_FILE: "",  # not the .env of the folder that a test or its process happens to be in
        "PGPASSFILE": NOWHERE,  # libpq looks into the home folder where these do not say otherwise
        "PGSERVICEFILE": NOWHERE,
        "TZ": kept.get("TEST_TZ", "UTC"),
        "LC_ALL": kept.get("TEST_LOCALE", "C.UTF-8"),
        "DAGSTER_DISABLE_TELEMETRY": "yes",  # its test instances would report their use to its makers
    }


def isolate() -> None:
    """Leaves this process with no more than :func:`isolated` says."""
    # In two steps, because modules of the platform are to be loaded in the new environment.
    for name in os.environ.keys() - KEPT:
        if not name.startswith(KEPT_PREFIXES):
            del os.environ[name]
    left = isolated(os.environ)
    os.environ.clear()
    os.environ.update(left)
    sys.dont_write_bytecode = False
    time.tzset()
    with suppress(locale.Error):  # not installed: Python goes on with what it began with
        locale.setlocale(locale.LC_ALL, "")


@contextmanager
def signals_reach_children() -> Iterator[None]:
    """Gives processes started in the block the usual reaction to signals, however this one was started.

    A signal that is ignored, as SIGINT in the background of a script and SIGHUP under ``nohup``, is ignored by
    every program started from there. One that is caught is not, so it is caught here, and nothing done.
    """
    numbers = [
        number
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
        if signal.getsignal(number) is signal.SIG_IGN
    ]
    for number in numbers:
        signal.signal(number, lambda *_: None)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
