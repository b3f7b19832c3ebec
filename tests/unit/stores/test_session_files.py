"""Sessions of exchanges kept in files: the same as computed ones, and computed again when the file cannot be used."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from trading_platform.domain.market.calendars import SESSION_SCHEMA, Window, _computed_sessions, sessions
from trading_platform.stores.session_files import SessionFiles

NOVEMBER, DECEMBER = (datetime(2026, month, 15, tzinfo=UTC) for month in (11, 12))


@pytest.mark.parametrize("calendar", ["XNYS", "XTKS", "XETR"])
def test_kept_sessions_equal_computed_ones(calendar: str, tmp_path: Path) -> None:
    def never() -> pl.DataFrame:
        raise AssertionError("the kept ones are to be used")

    window = Window(datetime(2015, 1, 1, tzinfo=UTC), datetime(2016, 1, 1, tzinfo=UTC))
    computed = SessionFiles(tmp_path, lambda: NOVEMBER)(calendar, lambda: _computed_sessions(calendar))
    kept = SessionFiles(tmp_path, lambda: NOVEMBER)(calendar, never)
    assert kept.equals(computed)
    assert kept.schema == pl.Schema(SESSION_SCHEMA)
    inside = kept.filter(pl.col("session").is_between(window.start, window.end, closed="left"))
    assert inside.equals(sessions(calendar, window))


@pytest.mark.exhaustive
def test_a_kept_time_zone_needs_no_computed_calendar(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from trading_platform.domain.market import calendars as c;"
        "from trading_platform.stores.session_files import SessionFiles;"
        "c.keep_sessions(SessionFiles(Path(sys.argv[1])));"
        "print(c.timezone_of('XTKS'), 'exchange_calendars' in sys.modules)"
    )
    found = [
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True).stdout
        for _ in range(2)
    ]
    assert found == ["Asia/Tokyo True\n", "Asia/Tokyo False\n"]


@pytest.mark.parametrize("damage", [b"", b"PAR1 cut short", None])
def test_a_file_that_cannot_be_used_is_written_again(damage: bytes | None, tmp_path: Path) -> None:
    frame = pl.DataFrame({name: [NOVEMBER] for name in SESSION_SCHEMA}, schema=SESSION_SCHEMA)
    files = SessionFiles(tmp_path, lambda: NOVEMBER)
    files("XNYS", lambda: frame)
    (file,) = tmp_path.iterdir()
    if damage is None:
        pl.DataFrame({"other": [1]}).write_parquet(file)
    else:
        file.write_bytes(damage)
    newer = pl.concat([frame, frame])
    assert files("XNYS", lambda: newer).equals(newer)
    assert files("XNYS", lambda: frame).equals(newer)


def test_a_new_month_computes_again_and_a_folder_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    frame = pl.DataFrame({name: [NOVEMBER] for name in SESSION_SCHEMA}, schema=SESSION_SCHEMA)
    newer = pl.concat([frame, frame])
    SessionFiles(tmp_path, lambda: NOVEMBER)("XNYS", lambda: frame)
    assert SessionFiles(tmp_path, lambda: DECEMBER)("XNYS", lambda: newer).equals(newer)
    assert [file.name.endswith("2026-12.parquet") for file in tmp_path.iterdir()] == [True]
    (tmp_path / "file").touch()
    assert SessionFiles(tmp_path / "file", lambda: NOVEMBER)("XNYS", lambda: frame).equals(frame)
