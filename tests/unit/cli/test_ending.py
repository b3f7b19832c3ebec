"""A command's process ends with everything said and its exit code, though it frees nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest
from processes import environment
from waiting import LONG

PROGRAM = """
import atexit, sys, threading, time
from trading_platform.cli.ending import end_with, end_without_freeing

class Kept:
    def __del__(self):
        print("freed")

end_without_freeing()
kept = Kept()
kept.itself = kept
atexit.register(lambda: print("exit handler"))
threading.Thread(target=lambda: (time.sleep(0.2), print("thread"))).start()
try:
    {work}
except SystemExit as ended:
    end_with(ended.code)
    raise
"""


def run(work: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(work=work)],
        env=environment(), capture_output=True, text=True, timeout=LONG, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(("code", "expected"), [(None, 0), (0, 0), (False, 0), (2, 2), (130, 130)])
def test_threads_and_exit_handlers_are_waited_for_and_nothing_is_freed(code: object, expected: int) -> None:
    ended = run(f"raise SystemExit({code!r})")
    assert (ended.returncode, ended.stdout.split("\n"), ended.stderr) == (
        expected, ["thread", "exit handler", ""], ""
    )  # fmt: skip


@pytest.mark.parametrize(("work", "words"), [("raise SystemExit('in words')", "in words"), ("1 / 0", "Traceback")])
def test_what_the_interpreter_has_to_say_is_left_to_it(work: str, words: str) -> None:
    ended = run(work)
    assert ended.returncode == 1
    assert words in ended.stderr
    assert ended.stdout.startswith("thread\nexit handler\n")
