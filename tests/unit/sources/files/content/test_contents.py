"""Files that cannot be opened, are broken, or are made to do harm: refused, never a traceback."""

from __future__ import annotations

import gzip
import os
import struct
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trading_platform.domain.errors import InvalidRequest
from trading_platform.sources.files.content.contents import open_contents
from trading_platform.sources.files.content.options import ImportOptions
from trading_platform.sources.files.reading import read_content

ROWS = b"Date,Open,High,Low,Close\n2020-01-02,1,1,1,1\n2020-01-03,1,1,1,1\n"


def refusals(path: Path) -> list[str]:
    found = []
    for content in open_contents(path):
        reading = read_content(content, ImportOptions(), now=datetime(2026, 1, 1, tzinfo=UTC), zone_of=lambda _s: "UTC")
        assert reading.accepted + reading.quarantined == reading.rows
        if reading.rejected_whole:
            assert reading.rejected["reason"][0] == "unreadable_file"
            found.append(reading.rejected["detail"][0])
    return found


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_missing_file_is_a_bad_request(tmp_path: Path) -> None:
    for name in ("nothing.csv", "a" * 300, "nul\0l.csv"):
        with pytest.raises(InvalidRequest, match="no file"):
            open_contents(tmp_path / name)


def test_a_folder_is_no_file_and_a_pipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="is a folder") as raised:
        refusals(tmp_path)
    assert raised.value.remedy == f"name its files, for example {tmp_path}/*.csv"
    os.mkfifo(tmp_path / "KO.csv")
    assert refusals(tmp_path / "KO.csv") == ["it is not a regular file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "KO.csv", ROWS)
    path.chmod(0)
    assert "Permission denied" in refusals(path)[0]


def test_truncated_gzip_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress(ROWS * 50)
    assert "truncated" in refusals(written(tmp_path / "KO.csv.gz", packed[:-12]))[0]
    assert refusals(written(tmp_path / "KO2.csv.gz", packed[:10] + b"\xff" * 20))


def test_broken_and_empty_zip_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "KO.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("KO.csv", ROWS)
    whole = path.read_bytes()
    assert "broken" in refusals(written(tmp_path / "cut.zip", whole[:-30]))[0]
    damaged = whole.replace(b"2020-01-02", b"2020-01-09", 1)
    assert "broken" in refusals(written(tmp_path / "damaged.zip", damaged))[0]
    with zipfile.ZipFile(tmp_path / "folders.zip", "w") as archive:
        archive.writestr("empty/", b"")
    assert refusals(tmp_path / "folders.zip") == ["the zip archive is empty"]


def test_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "KO.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("KO.csv", ROWS)
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        struct.pack_into("<H", data, data.index(signature) + offset, 1)
    assert "password" in refusals(written(tmp_path / "locked.zip", bytes(data)))[0]


def test_bomb_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    zeros = b"0" * (64 * 1024**2)
    assert "unpacks" in refusals(written(tmp_path / "KO.csv.gz", gzip.compress(zeros)))[0]
    with zipfile.ZipFile(tmp_path / "KO.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("KO.csv", zeros)
        archive.writestr("SPY_daily.csv", ROWS)
    assert len(refusals(tmp_path / "KO.zip")) == 1


def test_each_member_is_a_content_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("SPY.csv", "folder/KO.csv", "__MACOSX/SPY.csv"):
            archive.writestr(name, ROWS)
    assert [content.origin for content in open_contents(path)] == [f"{path}!SPY.csv", f"{path}!folder/KO.csv"]
