"""Judges what was read from a file whose right bars are known: right, refused, said, or silently wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path

import polars as pl
from market_files import Written
from market_truth import PRICES, Row

from trading_platform.domain.errors import TradingPlatformError
from trading_platform.sources.files.content.contents import FileContent
from trading_platform.sources.files.content.options import DateOrder, DecimalSign, ImportOptions
from trading_platform.sources.files.reading import FileReading, read_content

NOW = datetime(2026, 12, 1, tzinfo=UTC)
_POINT_ASSUMED = "the point taken as the decimal sign"
_ZONE_ASSUMED = ("taken as", "the default", "zone")


class Verdict(Enum):
    """What became of a file."""

    RIGHT = "right"
    SAID = "the assumption said"
    PARTLY = "right, other rows refused"
    REFUSED = "refused"
    WRONG = "silently wrong"


def judge(written: Written) -> tuple[Verdict, str]:
    """The verdict on a file, and the reason in words."""
    options = dict(written.options)
    for name, kind in (("decimal", DecimalSign), ("dates", DateOrder)):
        if name in options:
            options[name] = kind(options[name])
    content = FileContent(Path("/somewhere") / written.name, None, lambda: written.data)
    try:
        reading = read_content(content, ImportOptions(**options), now=NOW, zone_of=lambda _symbol: "UTC")  # type: ignore[arg-type]
    except TradingPlatformError as error:
        return Verdict.REFUSED, str(error)
    if reading.bars.is_empty():
        return Verdict.REFUSED, str(reading.rejected["detail"].to_list()[:1])
    faults, said = _compare(reading, written)
    faults += _of_the_whole(reading, written)
    if faults:
        return Verdict.WRONG, f"{faults[:3]}; assumption: {reading.assumption}"
    if reading.quarantined and not {"duplicate"}.issuperset(reading.rejected["reason"].to_list()):
        return Verdict.PARTLY, str(reading.rejected["detail"].to_list()[:2])
    return (Verdict.SAID if said else Verdict.RIGHT), reading.assumption


def _of_the_whole(reading: FileReading, written: Written) -> list[str]:
    """What is wrong with a reading apart from its bars: symbol, length, rows that are neither read nor rejected."""
    faults = []
    if reading.symbol != written.symbol or str(reading.timeframe) != written.timeframe:
        faults.append(f"read as {reading.symbol} {reading.timeframe}, it is {written.symbol} {written.timeframe}")
    distinct = len(written.rows)
    if reading.bars.height + reading.quarantined < distinct:
        faults.append(f"{distinct} bars, {reading.bars.height} read and {reading.quarantined} rejected")
    repeated = reading.rejected.filter(pl.col("reason") == "duplicate").height
    if repeated > written.twice:
        faults.append(f"{repeated} rows rejected as duplicates, {written.twice} are")
    levels = {time < written.scaled_from for time in reading.bars["time"]} if written.scaled_from else set()
    if len(levels) > 1 and "by a factor of" not in reading.assumption:
        faults.append("the prices of one half are a hundred times those of the other, and nothing says so")
    return faults


def _compare(reading: FileReading, written: Written) -> tuple[list[str], bool]:
    """The bars that are wrong without a word; and whether any is right only by an assumption that is said."""
    faults, said = [], False
    zone_said = any(words in reading.assumption for words in _ZONE_ASSUMED)
    for time, *prices, volume in reading.bars.select("time", *PRICES, "volume").iter_rows():
        row, by_zone = written.rows.get(time), False
        if written.walls and time in written.walls and zone_said:
            row, by_zone = written.walls[time], True
        if row is None:
            faults.append(f"no row of {time}")
            continue
        expected = [getattr(row, name) for name in PRICES]
        if time in written.damaged:
            faults.append(f"{time}: {prices}, though a price is scaled")
        elif [_kept(value) for value in expected] != prices:
            if _POINT_ASSUMED in reading.assumption and [_kept(value / 1000) for value in expected] == prices:
                said = True
            else:
                faults.append(f"{time}: {prices} instead of {expected}")
        elif not _volume_is_right(row, volume, reading.assumption, written):
            faults.append(f"{time}: volume {volume} of {row}")
        said = said or by_zone or written.volumes.get("") != "volume"
    return faults, said


def _kept(value: Decimal) -> Decimal:
    return value.quantize(Decimal("1e-8"))


def _volume_is_right(row: Row, volume: Decimal | None, assumption: str, written: Written) -> bool:
    for words, meaning in written.volumes.items():
        if words not in assumption:
            continue
        if meaning == "none" and volume is None:
            return True
        if meaning == "volume" and volume == _kept(row.volume):
            return True
        if meaning == "ticks" and volume == row.ticks:
            return True
        if (
            meaning == "rounded"
            and volume is not None
            and abs(volume - row.volume) <= row.volume * Decimal("0.006") + 1
        ):
            return True
    if volume is None:  # the only readable cells may have been made unreadable; then the column is named
        return "holds no numbers, such as" in assumption
    return _POINT_ASSUMED in assumption and "" in written.volumes and volume == _kept(row.volume / 1000)
