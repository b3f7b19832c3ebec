"""How long commands take to begin: ``--help`` and reading commands with servers up, against a bare interpreter.

The baseline of a reading command is the import of the libraries that a read needs (Polars, psycopg, Pydantic, Typer,
Rich), so that the ratio does not depend on the machine. The seconds more than a bare interpreter are printed below,
with the imports that take longest.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import Figure, arguments, own_servers, show

HELP_SECONDS = 0.4
READ_SECONDS = 1.0
"""What a command may take more than a bare interpreter, on a machine that does nothing else."""

READ_RATIO = 1.6
LIBRARIES = "import polars, psycopg, pydantic_settings, psutil, typer, rich.console, rich.table"
COMMANDS = (["coverage", "SPY"], ["instruments", "list"], ["gaps", "SPY"], ["limits"])
_SHOWN = 8


def main() -> None:
    """Measures and prints the result."""
    given = arguments(__doc__)
    rounds = given.rounds or (2 if given.quick else 9)
    program = str(Path(sys.executable).with_name("trading-platform"))
    bare, libraries = [sys.executable, "-c", "pass"], [sys.executable, "-c", LIBRARIES]
    with own_servers():
        _run([program, "instruments", "add", "SPY"])
        helps = _in_turns([program, "--help"], bare, rounds)
        figures = [Figure("--help, against a bare interpreter", *helps, None, lower_is_better=True)]
        notes = [_more("--help", *helps, HELP_SECONDS)]
        for command in COMMANDS:
            ours, base = _in_turns([program, *command], libraries, rounds)
            figures.append(Figure(" ".join(command), ours, base, READ_RATIO, lower_is_better=True))
            notes.append(_more(" ".join(command), ours, [statistics.median(helps[1])] * len(ours), READ_SECONDS))
        notes += _longest_imports([sys.executable, "-X", "importtime", program, *COMMANDS[0]])
    show("Commands", figures, notes, quick=given.quick)


def _more(what: str, ours: list[float], base: list[float], target: float) -> str:
    more = statistics.median(own - other for own, other in zip(ours, base, strict=True))
    return f"{what}: {more:.2f} s more than a bare interpreter (target: {target} s at most)"


def _in_turns(own: list[str], base: list[str], rounds: int) -> tuple[list[float], list[float]]:
    found: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        pair = _run(own), _run(base)
        if number:  # the first pair compiles the byte code
            for seconds, one in zip(found, pair, strict=True):
                seconds.append(one)
    return found


def _run(command: list[str]) -> float:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    subprocess.run(command, check=True, env=environment, cwd=tempfile.gettempdir(), stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def _longest_imports(command: list[str]) -> list[str]:
    """The packages whose modules take longest to import, without what they import themselves."""
    said = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tempfile.gettempdir()).stderr
    taken: dict[str, int] = {}
    for line in said.splitlines():
        own, _, name = line.removeprefix("import time:").partition("|")
        if line.startswith("import time:") and own.strip().isdigit():
            package = name.rpartition("|")[2].strip().partition(".")[0]
            taken[package] = taken.get(package, 0) + int(own)
    longest = sorted(taken.items(), key=lambda item: -item[1])[:_SHOWN]
    return ["Imports: " + ", ".join(f"{name} {microseconds / 1e3:.0f} ms" for name, microseconds in longest)]


if __name__ == "__main__":
    main()
