"""Duration of ``import trading_platform.definitions``, against ``import dagster`` alone.

Every process of Dagster starts with it: the code server, the daemon's checks, each run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

from common import Figure, arguments, show

TARGET = 1.6


def main() -> None:
    """Measures and prints the result."""
    given = arguments(__doc__)
    rounds = given.rounds or (3 if given.quick else 15)
    ours: list[float] = []
    dagster: list[float] = []
    for number in range(rounds + 1):
        own, base = _process("trading_platform.definitions"), _process("dagster")
        if number:  # the first pair compiles the byte code
            ours.append(own)
            dagster.append(base)
    show("Import", [Figure("import trading_platform.definitions", ours, dagster, TARGET, lower_is_better=True)])


def _process(module: str) -> float:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DAGSTER")}
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True, env=environment, cwd=tempfile.gettempdir())
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
