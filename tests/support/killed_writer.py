"""Runs work in child processes that kill themselves at a chosen change of the file system: SIGKILL, no handler.

A script: ``python killed_writer.py DIRECTORY``. It reads lines ``NUMBER MOMENT``; a child then replaces three months by
the value NUMBER, saves the snapshot ``s{NUMBER}`` and deletes others, and kills itself before its change MOMENT.
The script answers ``killed`` or ``done``.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
from feature_rows import YEAR, rows

from trading_platform.domain.features.built_in import BUILT_IN
from trading_platform.domain.features.feature_set import FeatureSet
from trading_platform.domain.time import Window
from trading_platform.stores.features.definitions import Definitions
from trading_platform.stores.features.files import FeatureStore
from trading_platform.stores.features.recorded.manifests import Contents

QUARTER = Window(YEAR.start, YEAR.start + timedelta(days=91))
FEW = Definitions(FeatureSet([BUILT_IN.features["rsi_14"]]))
CHANGES = ("open", "link", "replace", "unlink", "rmdir", "mkdir", "fsync", "truncate")


def kill_at(moment: int) -> None:
    """Lets this process kill itself before its change of that number."""
    left = [moment]

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def change(*arguments: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)

        return change

    for name in CHANGES:
        setattr(os, name, counted(getattr(os, name)))


def values(number: int) -> pl.DataFrame:
    """Three months of a value."""
    return rows(QUARTER, value=float(number)).select("time", "symbol", "available_at", "rsi_14")


def work(directory: Path, number: int) -> None:
    """Replaces, saves and deletes."""
    store = FeatureStore(directory, definitions=FEW)
    store.replace(values(number), "AAPL", QUARTER)
    with store.snapshots.saving(f"s{number}") as saving:
        read = store.read(["AAPL"], YEAR, ["rsi_14"], saving.months(store.live))
        saving.save(read, Contents())
    for name in store.snapshots.names():
        if name != f"s{number}":
            store.snapshots.delete(name)


def main(directory: Path) -> None:
    """Takes orders until there are no more."""
    for line in sys.stdin:
        number, moment = map(int, line.split())
        child = os.fork()  # before this process has used Polars, whose threads a child would not have
        if child == 0:
            kill_at(moment)
            work(directory, number)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
        sys.stdout.write("killed\n" if os.WIFSIGNALED(status) else "done\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
