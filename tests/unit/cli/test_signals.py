"""A signal that ends a command counts also where the exception it raises is lost on its way."""

from __future__ import annotations

import subprocess
import sys

import pytest
from processes import environment
from properties import some_usual
from waiting import LONG

BEGINNING = """
import os, signal
from trading_platform.cli.signals import end_on_signals, raise_if_interrupted
end_on_signals()
raise_if_interrupted()
"""
ENDING = """
try:
    raise_if_interrupted()
except KeyboardInterrupt:
    print("interrupted")
raise_if_interrupted()
"""

SWALLOWED = """
try:
    os.kill(os.getpid(), signal.{name})
    while True:
        pass
except KeyboardInterrupt:
    pass
"""
FORGOTTEN_BY_DAGSTER = """
from dagster._utils.interrupts import capture_interrupts
with capture_interrupts():
    os.kill(os.getpid(), signal.{name})
"""
IN_A_CALLBACK = """
class Freed:
    def __del__(self):
        os.kill(os.getpid(), signal.{name})
        while True:
            pass
freed = Freed()
del freed
"""


def said(work: str, *, through: tuple[str, ...] = ()) -> list[str]:
    """What a process prints that begins as a command does, works, and then asks."""
    command = [*through, sys.executable, "-c", BEGINNING + work + ENDING]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=LONG, check=True)
    return done.stdout.split()


WHERE_SOME_ARE_IGNORED = ("sh", "-c", "trap '' INT HUP; exec \"$@\"", "sh")


@pytest.mark.parametrize("name", some_usual(["SIGTERM", "SIGINT", "SIGHUP"]))
@pytest.mark.parametrize("work", [SWALLOWED, FORGOTTEN_BY_DAGSTER, IN_A_CALLBACK])
def test_it_is_not_lost(work: str, name: str) -> None:
    if work is FORGOTTEN_BY_DAGSTER and name == "SIGHUP":
        work = SWALLOWED  # Dagster leaves it alone
    assert said(work.format(name=name)) == ["interrupted"]


@pytest.mark.exhaustive
@pytest.mark.parametrize("work", [SWALLOWED, FORGOTTEN_BY_DAGSTER, IN_A_CALLBACK])
def test_sigterm_is_not_lost_where_others_are_ignored(work: str) -> None:
    assert said(work.format(name="SIGTERM"), through=WHERE_SOME_ARE_IGNORED) == ["interrupted"]


@pytest.mark.exhaustive
@pytest.mark.parametrize("work", ["pass", FORGOTTEN_BY_DAGSTER.format(name="SIGINT")])
def test_one_that_is_ignored_stays_without_effect(work: str) -> None:
    work += "\nos.kill(os.getpid(), signal.SIGINT); os.kill(os.getpid(), signal.SIGHUP)"
    assert said(work, through=WHERE_SOME_ARE_IGNORED) == []


def test_another_signal_is_no_interruption() -> None:
    work = "signal.signal(signal.SIGUSR1, lambda *_: None); os.kill(os.getpid(), signal.SIGUSR1)"
    assert said(work) == []
