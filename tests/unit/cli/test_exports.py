"""Files that a user exports: safe to open in a spreadsheet, and readable by the user alone."""

from __future__ import annotations

import os
import stat
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from trading_platform.cli.exports import write_frame
from trading_platform.domain.errors import StoreError

FRAME = pl.DataFrame(
    {
        "record": ["=1+1", "+1", "-2024,1", "@SUM(A1)", "\t=1", "\r=1", "a=1", " =1", "", None, "'=1"],
        "close": [Decimal("-1.5")] * 11,
        "line": [-1] * 11,
    }
)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_is_the_users_alone_whatever_the_umask(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"rows{suffix}"
    file.touch(0o666)
    before = os.umask(0)
    try:
        write_frame(FRAME, file)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_no_text_of_a_csv_is_a_formula_and_numbers_stay(tmp_path: Path) -> None:
    write_frame(FRAME, tmp_path / "rows.csv")
    found = pl.read_csv(tmp_path / "rows.csv")
    assert found["record"].to_list() == [
        "'=1+1", "'+1", "'-2024,1", "'@SUM(A1)", "'\t=1", "'\r=1", "a=1", " =1", "", None, "'=1",
    ]  # fmt: skip
    assert found["close"].to_list() == [-1.5] * 11
    assert found["line"].to_list() == [-1] * 11


def test_parquet_has_the_texts_as_they_are(tmp_path: Path) -> None:
    write_frame(FRAME, tmp_path / "rows.parquet")
    assert pl.read_parquet(tmp_path / "rows.parquet").equals(FRAME)


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nothing is left behind"):
        write_frame(FRAME, tmp_path / "nowhere" / "rows.csv")
    assert list(tmp_path.iterdir()) == []
