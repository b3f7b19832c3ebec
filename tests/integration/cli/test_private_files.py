"""What the platform writes is its user's alone: another user of the machine can list and read nothing of it."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from commands import installation
from daily_bars import session_days

from trading_platform.domain.market.live.bar_series import Basis
from trading_platform.domain.market.live.events import Heartbeat
from trading_platform.embedded.stack import Endpoints
from trading_platform.sources.files.landing import _write as land
from trading_platform.stores.atomic_files import drafted, exclusive, put_in_place, replace_file
from trading_platform.stores.session_files import SessionFiles
from trading_platform.streaming.replay.recording import RecordingWriter

NOW, START = datetime(2025, 3, 4, tzinfo=UTC), datetime(2012, 1, 2, tzinfo=UTC)
SERVERS = ("postgres", "redis", "run")
"""Folders of the embedded servers, which have tests of their own."""

NOBODY = 65534


@contextmanager
def careless() -> Iterator[None]:
    """A umask that takes nothing away, as some machines have."""
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


def daily_file(folder: Path) -> Path:
    """A quarter of daily bars."""
    path = folder / "SPY_daily.csv"
    rows = [f"{day:%Y-%m-%d},100,101,99,100,1000" for day in session_days(START, START + timedelta(days=60))]
    path.write_text("\n".join(["date,open,high,low,close,volume", *rows]) + "\n")
    return path


def open_to_others(folder: Path) -> list[str]:
    """What below a folder others can access, as far as they can get there."""
    found = []
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            mode = stat.S_IMODE((Path(root) / name).stat().st_mode)
            if mode & 0o077:
                found.append(f"{Path(root) / name} {mode:o}")
        folders[:] = [name for name in folders if stat.S_IMODE((Path(root) / name).stat().st_mode) & 0o011]
    return found


def test_each_way_to_write_makes_private_files(tmp_path: Path) -> None:
    with careless():
        replace_file(tmp_path / "features" / "symbol=SPY" / "a.parquet", b"x")
        with drafted(tmp_path / "archive" / "2024" / "a.parquet") as draft:
            draft.write_bytes(b"x")
            put_in_place(draft, tmp_path / "archive" / "2024" / "a.parquet")
        with exclusive(tmp_path / "locks" / "lock"):
            pass
        land(tmp_path / "imports" / "symbol=SPY" / "a.parquet", memoryview(b"x"))
        recorder = RecordingWriter(
            tmp_path / "recordings" / "a.jsonl.gz", source="kraken", basis={"BTCUSD": Basis.TRADE}
        )
        recorder.write(Heartbeat(NOW))
        recorder.close()
        SessionFiles(tmp_path / "calendars")._write(
            tmp_path / "calendars" / "X-1.parquet", "X", pl.DataFrame({"open": [NOW]})
        )
    assert len(list(tmp_path.rglob("*"))) == 6 * 2 + 3
    assert all(not stat.S_IMODE(path.stat().st_mode) & 0o077 for path in tmp_path.rglob("*")), open_to_others(tmp_path)


@pytest.mark.exhaustive
def test_another_user_sees_nothing_of_what_was_imported_computed_and_exported(stack: Endpoints, tmp_path: Path) -> None:
    with installation(stack.database_url) as made, careless():
        made.data_dir.chmod(0o755)
        exported = made.data_dir / "spy.csv"
        for arguments in (
            ("import", daily_file(tmp_path)),
            ("backfill", "SPY"),
            ("export", "bars", exported, "-s", "SPY"),
            ("archive",),
        ):
            found = made.run(*arguments)
            assert found.code == 0, found.text
        written = {path.name for path in made.data_dir.iterdir()}
        assert {"imports", "features", "dagster", "calendars", "spy.csv"} <= written
        ours = [f"{made.data_dir / name}" for name in written - set(SERVERS)]
        seen = [each for each in open_to_others(made.data_dir) if each.startswith(tuple(ours))]
        assert seen == []
        if os.geteuid() == 0:
            seek = ["find", str(made.data_dir), "-type", "f", "-readable"]
            other = subprocess.run(seek, user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, check=False)
            assert other.stdout == b"", other.stderr
