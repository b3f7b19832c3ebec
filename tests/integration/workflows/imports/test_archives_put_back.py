"""A bulk archive of Kraken that is imported again after a corrected one: the last import's word counts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path

import pytest
from kraken_archives import write_zip

from trading_platform.domain.time import Timeframe, Window
from trading_platform.sources.kraken.landing_source import ArchiveKind, KrakenArchive
from trading_platform.stores.postgres.database import Database
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.workflows.imports.import_archives import import_archives
from trading_platform.workflows.imports.import_files import ImportedFile, ImportStatus

START = datetime(2024, 3, 1, tzinfo=UTC)
MINUTES = 300
PART = 2_000
"""Bytes that are read at once, so that an archive has several parts."""

ORIGINAL, CORRECTED = "100", "105"
MEMBERS = {
    ArchiveKind.OHLCVT: ("XBTUSD_1.csv", "{time},{price},{price},{price},{price},1.5,1"),
    ArchiveKind.TRADES: ("XBTUSD.csv", "{time},{price},1.5"),
}


@pytest.fixture
def stores(database: Database, database_url: str, tmp_path: Path) -> Iterator[Stores]:
    del database  # brings the schema
    with open_stores(database_url, tmp_path / "features") as opened:
        yield opened


def archive_of(path: Path, kind: ArchiveKind, price: str) -> Path:
    """An archive in which one minute of several hours has this price, the others 100."""
    name, row = MEMBERS[kind]
    start = int(START.timestamp())
    rows = [
        row.format(time=start + 60 * minute, price=price if minute == 200 else ORIGINAL) for minute in range(MINUTES)
    ]
    return write_zip(path, {name: rows})


@pytest.mark.parametrize("kind", ArchiveKind)
def test_an_archive_that_is_put_back_counts_again(
    stores: Stores,
    tmp_path: Path,
    kind: ArchiveKind,
) -> None:
    archive, seconds = KrakenArchive(tmp_path / "imports"), count()

    def import_(path: Path) -> ImportedFile:
        clock = START + timedelta(days=40, seconds=next(seconds))
        (file,) = import_archives(
            [path], symbol="BTCUSD", archive=archive, stores=stores, clock=lambda: clock, chunk_bytes=PART
        )
        return file

    def price() -> Decimal:
        window = Window(START + timedelta(minutes=200), START + timedelta(minutes=201))
        value: Decimal = archive.filled(kind, "BTCUSD", Timeframe.M1, window)["close"][0]
        return value

    original = archive_of(tmp_path / "original.zip", kind, ORIGINAL)
    corrected = archive_of(tmp_path / "corrected.zip", kind, CORRECTED)
    assert import_(original).status is ImportStatus.IMPORTED
    assert import_(original).status is ImportStatus.UNCHANGED
    assert import_(corrected).status is ImportStatus.IMPORTED
    assert price() == Decimal(CORRECTED)
    assert import_(original).status is ImportStatus.IMPORTED
    assert price() == Decimal(ORIGINAL)
    assert import_(original).status is ImportStatus.UNCHANGED
    assert import_(corrected).status is ImportStatus.IMPORTED
    assert price() == Decimal(CORRECTED)
