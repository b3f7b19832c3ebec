"""A chunk of a member of Kraken's archives: text to screened bars.

A chunk with complete rows is parsed directly into columns. Any other is parsed line by line, so that the error of
each row is known. :mod:`trading_platform.sources.kraken.archives.archive` finds the members and cuts them into
chunks; docs/sources/kraken.md describes the formats.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from trading_platform.domain.errors import QualityError
from trading_platform.domain.market.bars import BAR_SCHEMA, PRICES, Quality, bars_from_trades, empty_bars, final_bars
from trading_platform.domain.quality.rules import REJECTED_SCHEMA, screen_bars, screen_trades
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.time import Timeframe, Window
from trading_platform.sources.files.content.options import FileFormat, FileRejected
from trading_platform.sources.files.content.tables import extra_fields, lines_of, split_rows
from trading_platform.sources.files.reading import FileReading
from trading_platform.sources.files.rows import refuse_too_fine, reject_unfinished, rejected_early
from trading_platform.sources.kraken.landing_source import ArchiveKind
from trading_platform.sources.kraken.minutes import SOURCE

_COLUMNS = {
    ArchiveKind.OHLCVT: ("time_text", *PRICES, "volume", "count"),
    ArchiveKind.TRADES: ("time_text", "price", "quantity"),
}
_FORMATS = {ArchiveKind.OHLCVT: FileFormat.KRAKEN_OHLCVT, ArchiveKind.TRADES: FileFormat.KRAKEN_TRADES}
_EARLIEST, _LATEST = 10**9, 4 * 10**9  # seconds since 1970: 2001 to 2096; other values are another unit, or no time
_ENOUGH_ROWS = 50  # it is no coincidence if so many minutes all lie on a coarser grid


@dataclass(frozen=True)
class ArchiveMember:
    """A member of an archive, or a file extracted from one.

    Attributes:
        path: the archive.
        name: name of the member; None for a file by itself.
        symbol: symbol of the bars, in the platform's spelling.
        kind: kind of archive.
        timeframe: timeframe of its bars; None if bars of their length are not imported from archives.
        packed: compressed bytes in the archive.
        size: decompressed bytes, as stated by the archive.
    """

    path: Path
    name: str | None
    symbol: str
    kind: ArchiveKind
    timeframe: Timeframe | None
    packed: int
    size: int

    @property
    def origin(self) -> str:
        """Its name in the quarantine: the path, and the member after an exclamation mark."""
        return str(self.path) if self.name is None else f"{self.path}!{self.name}"


def read_chunk(member: ArchiveMember, timeframe: Timeframe, chunk: bytes, now: datetime) -> FileReading:
    """The screened rows of a chunk.

    Raises:
        FileRejected: if prices are finer than the columns they are stored in.
        QualityError: if rows were lost on the way, which would be a defect.
    """
    raw, text = _straight(member.kind, chunk), pl.concat_str(_COLUMNS[member.kind], separator=",")
    if raw is None:
        raw, text = _careful(member.kind, chunk), pl.col("text")
    early = rejected_early(raw)
    sound = raw.filter(pl.col("fault").is_null()).drop("fault")
    if member.kind is ArchiveKind.OHLCVT:
        screened = reject_unfinished(screen_bars(sound, timeframe, now), timeframe, now)
        bars = _as_bars(screened.accepted, member.symbol, timeframe)
    else:
        screened = screen_trades(sound, now)
        bars = final_bars(_bars_of_trades(screened.accepted, member.symbol), timeframe, now)
    refuse_too_fine(screened.rejected, raw.height)
    rejected = pl.concat([early, screened.rejected]).sort("line")
    if screened.accepted.height + rejected.height != raw.height:
        raise QualityError(
            f"Rows of {member.origin} were lost while it was read.",
            expected=f"accepted + quarantined = {raw.height} rows",
            received=f"{screened.accepted.height} accepted, {rejected.height} quarantined",
            remedy="report this as a defect; nothing of the file was stored",
        )
    if rejected.height:
        texts = raw.filter(pl.col("line").is_in(rejected["line"].implode())).select("line", record=text)
        rejected = rejected.drop("record").join(texts, on="line", how="left", maintain_order="left")
    return FileReading(
        symbol=member.symbol,
        timeframe=timeframe,
        format=_FORMATS[member.kind].value,
        rows=raw.height,
        accepted=screened.accepted.height,
        bars=bars,
        rejected=rejected.select(REJECTED_SCHEMA.keys()),
        span=Window(bars["time"][0], bars["time"][-1] + timeframe.duration) if bars.height else None,
        assumption="Kraken's own; minutes without a row had no trade" if timeframe.is_intraday else "Kraken's own",
    )


def _straight(kind: ArchiveKind, chunk: bytes) -> pl.DataFrame | None:
    """The chunk as raw rows; None if any row has a wrong number of fields, or no time."""
    columns = _COLUMNS[kind]
    try:
        frame = pl.read_csv(
            io.BytesIO(chunk), has_header=False, new_columns=list(columns), infer_schema=False, quote_char=None
        )
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None
    lines = chunk.count(b"\n") + (not chunk.endswith(b"\n"))
    if frame.shape != (lines, len(columns)) or any(frame.null_count().row(0)):
        return None
    frame = _timed(frame)
    if frame["time"].null_count():
        return None
    return frame.with_columns(
        line=pl.int_range(1, pl.len() + 1, dtype=pl.Int64),
        record=pl.lit(None, dtype=pl.String),
        fault=pl.lit(None, dtype=pl.String),
    )


def _careful(kind: ArchiveKind, chunk: bytes) -> pl.DataFrame:
    """The chunk as raw rows, line by line, with any content."""
    columns = _COLUMNS[kind]
    lines = lines_of(chunk.decode("utf-8", "replace").replace("\0", "\ufffd"))
    fields = split_rows(lines["record"], ",", len(columns), quoted=False)
    fields.columns = list(columns)
    surplus = extra_fields(lines["record"], ",", len(columns), quoted=False)
    frame = _timed(fields.with_columns(pl.all().fill_null("").str.strip_chars()))
    return frame.with_columns(
        line=lines["line"],
        record=pl.lit(None, dtype=pl.String),
        fault=pl.lit(f"{Reason.UNREADABLE_NUMBER.value}:") + surplus,
        text=lines["record"],
    )


def _timed(frame: pl.DataFrame) -> pl.DataFrame:
    """With ``time`` from ``time_text`` in seconds since 1970; null if it is not a time."""
    seconds = pl.col("time_text").cast(pl.Decimal(20, 9), strict=False)
    plausible = pl.when(seconds.is_between(_EARLIEST, _LATEST)).then(seconds)
    return frame.with_columns(time=(plausible * 1_000_000).cast(pl.Int64).cast(BAR_SCHEMA["time"]))


def _as_bars(accepted: pl.DataFrame, symbol: str, timeframe: Timeframe) -> pl.DataFrame:
    constants = {"symbol": symbol, "timeframe": timeframe.value, "source": SOURCE, "quality": Quality.TRADED.value}
    return accepted.with_columns(**{name: pl.lit(value) for name, value in constants.items()}).select(
        pl.col(name).cast(dtype) for name, dtype in BAR_SCHEMA.items()
    )


def _bars_of_trades(accepted: pl.DataFrame, symbol: str) -> pl.DataFrame:
    if accepted.is_empty():
        return empty_bars()
    first, last = accepted["time"][0], accepted["time"][-1]
    minutes = Window(first, last.replace(second=59, microsecond=999_999))
    return bars_from_trades(accepted, symbol=symbol, timeframe=Timeframe.M1, source=SOURCE, window=minutes, fill=False)


def check_kind(reading: FileReading, member: ArchiveMember, *, is_first: bool) -> None:
    """Checks that the rows match the kind in the member's name; else all could be rejected one by one."""
    few = reading.accepted * 2 < reading.rows and reading.rows >= _ENOUGH_ROWS
    if few or (is_first and reading.accepted == 0):
        shown, why = reading.rejected.select("record", "detail").row(0)
        expected = ",".join("time" if name == "time_text" else name for name in _COLUMNS[member.kind])
        detail = (
            f"most of its rows cannot be {expected} as in Kraken's {member.kind}: "
            f"{str(shown)[:100]} ({why}), for example"
        )
        raise FileRejected(Reason.UNSUPPORTED, detail, rows=reading.rows)
    times = reading.bars["time"]
    judged = is_first and member.kind is ArchiveKind.OHLCVT and member.timeframe is Timeframe.M1
    if judged and times.len() >= _ENOUGH_ROWS and (times.dt.truncate("5m") == times).all():
        detail = "every row lies on the grid of 5 minutes or more, so these are not the 1m bars its name says"
        raise FileRejected(Reason.UNSUPPORTED, detail, rows=reading.rows)
