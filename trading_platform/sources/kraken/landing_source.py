"""Kraken's bulk archives as the first source of its history, as landed by ``trading-platform import``.

Bars of OHLCVT archives and bars made of archived trades are stored separately, because the trades are finer. An
archive leaves minutes without trades out; within the span of a member they are confirmed empty, and returned as
Kraken's candles have them: volume 0 at the last price. :mod:`trading_platform.sources.kraken.archives.archive`
reads archives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

import polars as pl

from trading_platform.domain.market.bars import PRICE, VOLUME, Quality, empty_bars, fill_without_trades
from trading_platform.domain.quality.rules import empty_rejected
from trading_platform.domain.time import Timeframe, Window, partition_windows
from trading_platform.sources.base import BarResponse, SecondVersion
from trading_platform.sources.files.landing import LandedFile, LandingArea, collect, damaged, scan
from trading_platform.sources.kraken.minutes import SOURCE


class ArchiveKind(StrEnum):
    """The kinds of bulk archives, the finer first."""

    TRADES = "trades archive"
    OHLCVT = "OHLCVT archive"


class KrakenArchive:
    """The landed data of Kraken's archives.

    Args:
        imports_directory: the imports directory; it need not exist.
    """

    def __init__(self, imports_directory: Path) -> None:
        folder = imports_directory / "source=kraken"
        self.areas = {kind: LandingArea(folder / f"tier={kind.name.lower()}") for kind in ArchiveKind}

    def spans(self, symbol: str, timeframe: Timeframe) -> list[Window]:
        """The disjoint windows that the archives cover, in order."""
        return Window.merge(span for kind in ArchiveKind for span in self._spans(kind, symbol, timeframe))

    def responses(self, symbol: str, timeframe: Timeframe, window: Window) -> Iterator[BarResponse]:
        """The bars of a window inside :meth:`spans`, a month or a year at once.

        Where two archives have the same bars, those of the finer one are returned, and of two of a kind those of the
        later import; the others are returned as second versions, to be compared.

        Raises:
            StoreError: if the landing area is damaged or cannot be read.
        """
        for partition in partition_windows(timeframe, window):
            part = partition.intersect(window)
            if part is not None:
                yield self._response(symbol, timeframe, part)

    def filled(self, kind: ArchiveKind, symbol: str, timeframe: Timeframe, window: Window) -> pl.DataFrame:
        """The bars that one kind of archive has in a window, including those without trades."""
        return _joined([version.bars for version in self._versions(kind, symbol, timeframe, [window])])

    def _response(self, symbol: str, timeframe: Timeframe, window: Window) -> BarResponse:
        bars: list[pl.DataFrame] = []
        second_versions: list[SecondVersion] = []
        left = [window]
        for kind in ArchiveKind:
            versions = self._versions(kind, symbol, timeframe, [window])
            for version in versions:
                bars.extend(_inside(version.bars, part) for part in left)
                covered = version.bars.filter(~_in_any(left))
                second_versions.append(SecondVersion(covered, kind, finer=False))
                second_versions.append(SecondVersion(version.superseded, f"earlier {kind}", finer=False))
            left = [rest for part in left for rest in part.subtract(self._spans(kind, symbol, timeframe))]
        files = sum(len(area.files(symbol, timeframe)) for area in self.areas.values())
        return BarResponse(
            bars=_joined(bars),
            rejected=empty_rejected(),
            answered=(window,),
            origin=f"{files} imported parts of Kraken's archives of {symbol} {timeframe}",
            second_versions=tuple(version for version in second_versions if not version.bars.is_empty()),
        )

    def _spans(self, kind: ArchiveKind, symbol: str, timeframe: Timeframe) -> list[Window]:
        return Window.merge(file.span for file in self.areas[kind].files(symbol, timeframe))

    def _versions(
        self, kind: ArchiveKind, symbol: str, timeframe: Timeframe, windows: Sequence[Window]
    ) -> list[_Version]:
        files = self.areas[kind].files(symbol, timeframe)
        return [
            _version(files, symbol, timeframe, span, part)
            for span in self._spans(kind, symbol, timeframe)
            for window in windows
            if (part := span.intersect(window))
        ]


@dataclass(frozen=True)
class _Version:
    """The bars of an interval that archives of one kind cover, and those of earlier imports replaced by later ones."""

    bars: pl.DataFrame
    superseded: pl.DataFrame


def _version(files: Sequence[LandedFile], symbol: str, timeframe: Timeframe, span: Window, part: Window) -> _Version:
    found = _collect([file for file in files if file.bars.intersect(part)], symbol, timeframe, part)
    latest = found.unique("time", keep="last", maintain_order=True).sort("time")
    replaced = found.join(latest.select("time", "rank"), on=["time", "rank"], how="anti")
    bars = fill_without_trades(
        latest.drop("rank"),
        symbol=symbol,
        timeframe=timeframe,
        source=SOURCE,
        window=part,
        previous_close=_close_before(files, symbol, timeframe, span, part.start),
    )
    return _Version(bars, replaced.drop("rank").unique("time", keep="last").sort("time"))


def _collect(files: Sequence[LandedFile], symbol: str, timeframe: Timeframe, window: Window) -> pl.DataFrame:
    """The bars of the files in a window, minutes of volume 0 marked as such; ``rank`` is the position of the file."""
    found = collect(files, symbol, timeframe, window, SOURCE)
    none = pl.col("volume") == pl.lit(0, dtype=VOLUME)
    return found.with_columns(quality=pl.when(none).then(pl.lit(Quality.NO_TRADE.value)).otherwise("quality"))


def _close_before(
    files: Sequence[LandedFile], symbol: str, timeframe: Timeframe, span: Window, timestamp: datetime
) -> Decimal | None:
    """The last price of a span before a time in it, as in the latest import."""
    if timestamp == span.start:
        return None
    earlier = [file for file in files if file.bars.start < timestamp and file.span.intersect(span)]
    latest = max((file.bars.end for file in earlier if file.bars.end <= timestamp), default=None)
    best: tuple[datetime, Decimal] | None = None
    for file in earlier:
        if file.bars.end < timestamp and file.bars.end != latest:
            continue
        try:
            last = (
                scan(file, symbol, timeframe, SOURCE, Quality.TRADED.value)
                .filter(pl.col("time") < timestamp)
                .select("time", "close")
                .last()
                .collect()
            )
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
            raise damaged(file.path, error) from None
        if last.height and (best is None or last["time"][0] >= best[0]):
            best = (last["time"][0], last["close"].cast(PRICE)[0])
    return best[1] if best else None


def _inside(bars: pl.DataFrame, window: Window) -> pl.DataFrame:
    return bars.filter(pl.col("time").is_between(window.start, window.end, closed="left"))


def _in_any(windows: Sequence[Window]) -> pl.Expr:
    if not windows:
        return pl.lit(value=False)
    return pl.any_horizontal(pl.col("time").is_between(part.start, part.end, closed="left") for part in windows)


def _joined(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat([empty_bars(), *frames]).sort("time")
