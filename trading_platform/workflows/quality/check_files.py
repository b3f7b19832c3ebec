"""Reads files as an import would, stores nothing, and says what is wrong or suspect about each.

The use case of ``trading-platform check-files``. Imports are in
:mod:`trading_platform.workflows.imports.import_files`, checks of stored bars in
:mod:`trading_platform.workflows.quality.verify_plausibility`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from trading_platform.domain.errors import InvalidRequest, SourceError
from trading_platform.domain.market.calendars import ALWAYS_OPEN, timezone_of
from trading_platform.domain.market.instruments import Instrument, guess_instrument
from trading_platform.domain.quality.plausibility.examine import examine, examine_values
from trading_platform.domain.quality.plausibility.findings import Finding
from trading_platform.domain.quality.plausibility.rejections import find_swapped_columns
from trading_platform.domain.quality.plausibility.versions import find_disagreement
from trading_platform.domain.time import Clock, Timeframe, Window
from trading_platform.sources.files.content.contents import FileContent, open_contents
from trading_platform.sources.files.content.options import ImportOptions
from trading_platform.sources.files.reading import SOURCE, FileReading, read_instruments
from trading_platform.sources.files.recognition.evidence import guessed_instrument
from trading_platform.workflows.progress import Progress, silent

Known = Callable[[str], Instrument | None]
"""Returns the instrument of a symbol, if it is in the universe."""

Stored = Callable[[str, Timeframe, Window], pl.DataFrame]
"""Returns the stored bars of a symbol, to compare with."""

Splits = Callable[[str], Sequence[datetime]]
"""Returns the dates of the known splits of a symbol, UTC."""


@dataclass(frozen=True)
class CheckedFile:
    """What was found about a file, or about one instrument in it.

    Attributes:
        origin: path, and member after an exclamation mark.
        symbol: symbol of the bars; None if the file was rejected before it was known.
        timeframe: length of the bars, likewise.
        rows: number of data records.
        bars: number of bars that an import would store.
        rejection: why an import would reject it as a whole, in words; None if it would not.
        reasons: number of rejected rows by reason.
        assumption: what was assumed, in words.
        findings: what is suspect.
    """

    origin: str
    symbol: str | None
    timeframe: str | None
    rows: int
    bars: int
    rejection: str | None
    reasons: dict[str, int]
    assumption: str
    findings: tuple[Finding, ...]

    @property
    def is_clean(self) -> bool:
        """Whether nothing was rejected and nothing is suspect."""
        return self.rejection is None and not self.reasons and not self.findings


def check_files(
    paths: Sequence[Path],
    options: ImportOptions,
    *,
    clock: Clock,
    known: Known = lambda _symbol: None,
    stored: Stored | None = None,
    splits: Splits = lambda _symbol: (),
    progress: Progress = silent,
) -> list[CheckedFile]:
    """Checks files one after the other.

    Args:
        paths: the files; a ZIP file stands for its members.
        options: the user's options, which apply to all of them.
        clock: source of the current time.
        known: gives the instruments of the universe.
        stored: gives stored bars, with which those of the files are compared; None: they are not.
        splits: gives the known splits.
        progress: receives a report after each file.

    Raises:
        InvalidRequest: if a file does not exist.
    """
    contents = [content for path in paths for content in open_contents(path.expanduser().absolute())]
    found: list[CheckedFile] = []
    progress("files", 0, len(contents))
    for number, content in enumerate(contents, start=1):
        found += _check(content, options, clock, known, stored, splits)
        progress("files", number, len(contents))
    return found


def _check(
    content: FileContent, options: ImportOptions, clock: Clock, known: Known, stored: Stored | None, splits: Splits
) -> list[CheckedFile]:
    def zone_of(symbol: str) -> str:
        return timezone_of((known(symbol) or guess_instrument(symbol, SOURCE)).calendar).key

    try:
        readings = read_instruments(content, options, now=clock(), zone_of=zone_of, registered=known)
    except (InvalidRequest, SourceError) as error:
        return [CheckedFile(content.origin, None, None, 0, 0, str(error), {}, "", ())]
    return [_checked(content, reading, known, stored, splits) for reading in readings]


def _checked(
    content: FileContent, reading: FileReading, known: Known, stored: Stored | None, splits: Splits
) -> CheckedFile:
    counts = reading.rejected.group_by("reason").agg(pl.col("row_count").sum()).sort("reason")
    reasons: dict[str, int] = dict(counts.iter_rows())
    rejection = str(reading.rejected["detail"][0]) if reading.rejected_whole else None
    findings = find_swapped_columns(reading.rejected, reading.rows)
    assumption = [reading.assumption]
    if reading.symbol is not None and reading.timeframe is not None and reading.bars.height:
        instrument = known(reading.symbol)
        if instrument is None and reading.evidence is not None:
            try:
                instrument, words = guessed_instrument(reading.evidence, reading.bars, reading.timeframe, SOURCE)
            except InvalidRequest:
                words = "its market is not known: `instruments add` it before an import; its hours were not checked"
            assumption.append(words)
        dates, timeframe = splits(reading.symbol), reading.timeframe
        if instrument is None:
            findings += examine_values(reading.bars, ALWAYS_OPEN, timeframe, splits=dates)
        else:
            findings += examine(reading.bars, instrument.calendar, timeframe, splits=dates, zone=reading.zone)
        if stored is not None:
            times = reading.bars["time"]
            window = Window(times[0], times[-1] + reading.timeframe.duration)
            other = stored(reading.symbol, reading.timeframe, window)
            findings += find_disagreement(reading.bars, other, reading.timeframe)
    return CheckedFile(
        origin=content.origin,
        symbol=reading.symbol,
        timeframe=reading.timeframe.value if reading.timeframe else None,
        rows=reading.rows,
        bars=reading.bars.height,
        rejection=rejection,
        reasons=reasons,
        assumption="; ".join(filter(None, assumption)),
        findings=tuple(findings),
    )
