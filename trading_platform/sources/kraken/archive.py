"""Kraken's bulk archives: which members of a ZIP hold whose bars, and their rows, a piece at a time.

A member can be larger than memory, so it is read twice: once to know that it is whole and what its hash is,
then in pieces that end between two minutes. A piece whose rows all have their fields is read straight into
columns, any other line by line, so that it can be said of each row what is wrong with it. Formats:
docs/sources/kraken.md.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import IO

import polars as pl

from trading_platform.domain.bars import BAR_SCHEMA, PRICES, Quality, bars_from_trades, empty_bars, final_bars
from trading_platform.domain.errors import InvalidRequest, QualityError
from trading_platform.domain.quality import REFUSED_SCHEMA, screen_bars, screen_trades
from trading_platform.domain.reasons import Reason
from trading_platform.domain.time import Timeframe, Window
from trading_platform.sources.files.contents import LARGEST_RATIO, check_exists
from trading_platform.sources.files.names import FileName
from trading_platform.sources.files.options import FileFormat, FileRefused, unreadable
from trading_platform.sources.files.reading import FileReading, refuse_unfinished, refused_early
from trading_platform.sources.files.tables import extra_fields, lines_of, split_rows
from trading_platform.sources.kraken.landed import Tier
from trading_platform.sources.kraken.minutes import SOURCE

PIECE_BYTES = 8 * 1024**2
"""How much text is read at once: about 150,000 rows."""

_BLOCK = 1024**2
_RATIO_APPLIES_FROM = 32 * 1024**2
_ZIP = b"PK"
_TIMEFRAMES = {1: Timeframe.M1, 1440: Timeframe.D1}
_COLUMNS = {
    Tier.OHLCVT: ("time_text", *PRICES, "volume", "count"),
    Tier.TRADES: ("time_text", "price", "quantity"),
}
_FORMATS = {Tier.OHLCVT: FileFormat.KRAKEN_OHLCVT, Tier.TRADES: FileFormat.KRAKEN_TRADES}
_EARLIEST, _LATEST = 10**9, 4 * 10**9  # seconds since 1970: 2001 to 2096; what is outside is another unit, or no time
_LONGEST_MINUTE = 4  # pieces: no minute has a million trades
_ENOUGH_ROWS = 50  # by chance, so many minutes do not all lie on a coarser grid


@dataclass(frozen=True)
class ArchiveMember:
    """A member of an archive, or a file taken out of one.

    Attributes:
        path: the archive.
        name: the member's; None for a file by itself.
        symbol: whose bars, in the platform's spelling.
        tier: which kind of archive.
        timeframe: of the bars it gives; None where those are of a length that is not taken from archives.
        packed: bytes it takes in the archive.
        size: bytes once unpacked, as the archive says.
    """

    path: Path
    name: str | None
    symbol: str
    tier: Tier
    timeframe: Timeframe | None
    packed: int
    size: int

    @property
    def origin(self) -> str:
        """How it is called in the quarantine: the path, and the member after an exclamation mark."""
        return str(self.path) if self.name is None else f"{self.path}!{self.name}"


def is_archive(path: Path) -> bool:
    """Whether a file is named as Kraken names its bulk downloads: ``Kraken_OHLCVT_Q1_2024.zip``."""
    return path.name.lower().startswith("kraken_") and path.suffix.lower() == ".zip"


def members_of(path: Path) -> list[ArchiveMember]:
    """The members that are named as Kraken names them, in the order of the archive; of a CSV, itself.

    Raises:
        InvalidRequest: if there is no such file.
        FileRefused: if it is no archive that can be read, or holds nothing of Kraken's.
    """
    check_exists(path)
    try:
        with path.open("rb") as file:
            start = file.read(2)
        if start != _ZIP:
            found = [_member(path, None, path.name, path.stat().st_size, path.stat().st_size)]
        else:
            with zipfile.ZipFile(path) as archive:
                found = [
                    _member(path, info.filename, info.filename, info.compress_size, info.file_size)
                    for info in archive.infolist()
                    if not info.is_dir()
                ]
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise unreadable(f"the zip archive is broken: {error}; download it again") from None
    except OSError as error:
        raise unreadable(f"it cannot be read: {error.strerror or error}") from None
    named = [member for member in found if member is not None]
    if not named:
        raise unreadable("it holds nothing named as Kraken names it, such as XBTUSD_1.csv or XBTUSD.csv")
    return named


def _member(path: Path, member: str | None, name: str, packed: int, size: int) -> ArchiveMember | None:
    about = FileName((name,))
    symbol = about.symbol
    if symbol is None or not about.is_krakens or not name.lower().endswith(".csv") or "__MACOSX/" in name:
        return None
    minutes = about.kraken_minutes
    tier = Tier.TRADES if minutes is None else Tier.OHLCVT
    timeframe = Timeframe.M1 if minutes is None else _TIMEFRAMES.get(minutes)
    return ArchiveMember(path, member, symbol, tier, timeframe, packed, size)


@contextmanager
def _opened(member: ArchiveMember) -> Iterator[IO[bytes]]:
    """The member's bytes, unpacked; what is wrong with them comes as FileRefused."""
    try:
        if member.name is None:
            with member.path.open("rb") as file:
                yield file
        else:
            with zipfile.ZipFile(member.path) as archive, archive.open(member.name) as unpacked:
                yield unpacked
    except RuntimeError as error:  # zipfile's word for an encrypted member
        raise unreadable(f"the zip member cannot be opened: {error}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, KeyError) as error:
        raise unreadable(f"the zip member is damaged: {error}; download the archive again") from None
    except OSError as error:
        raise unreadable(f"it cannot be read: {error.strerror or error}") from None


def hash_of(member: ArchiveMember) -> str:
    """SHA-256 of the unpacked member, read to its end, so that damage shows before anything of it is kept.

    Raises:
        FileRefused: if it is damaged, or unpacks to more than bars can.
    """
    digest, size = hashlib.sha256(), 0
    with _opened(member) as file:
        while block := file.read(_BLOCK):
            size += len(block)
            if size > _RATIO_APPLIES_FROM and size > member.packed * LARGEST_RATIO:
                raise unreadable(f"it unpacks to more than {LARGEST_RATIO} times its size")
            digest.update(block)
    return digest.hexdigest()


def read_member(
    member: ArchiveMember, now: datetime, *, piece_bytes: int = PIECE_BYTES, told: Callable[[int], None] | None = None
) -> Iterator[FileReading]:
    """The rows of a member, screened, piece by piece; no bar is in two pieces.

    The span of a piece begins where the one before ended, since a member leaves out nothing but minutes
    without trades.

    Args:
        member: which, of a timeframe.
        now: the present; rows that are later are refused.
        piece_bytes: how much text to read at once.
        told: is told how many bytes were read, after every piece.

    Raises:
        FileRefused: if the member is not what its name says, or its rows are not in the order of time. What
            came before is then not to be kept.
    """
    if member.timeframe is None:
        raise InvalidRequest(f"{member.origin} has bars of a length that is not taken from archives.")
    line, read, end = 0, 0, None
    for piece in _pieces(member, piece_bytes):
        reading = _read_piece(member, member.timeframe, piece, now)
        _check(reading, member, is_first=line == 0)
        reading = replace(reading, refused=reading.refused.with_columns(pl.col("line") + line))
        if reading.span is not None:
            if end is not None and reading.span.start < end:
                raise _unordered(reading.span.start)
            reading = replace(reading, span=Window(end or reading.span.start, reading.span.end))
            end = reading.span.end if reading.span else end
        line += piece.count(b"\n")
        read += len(piece)
        if told is not None:
            told(read)
        yield reading


def _pieces(member: ArchiveMember, piece_bytes: int) -> Iterator[bytes]:
    """Whole lines, cut where a minute ends."""
    left = b""
    with _opened(member) as file:
        while block := file.read(piece_bytes):
            text = left + block
            cut = _end_of_a_minute(text)
            if cut:
                yield text[:cut]
            left = text[cut:]
            if len(left) > _LONGEST_MINUTE * piece_bytes:
                raise unreadable("it has no rows with times in the order of time, as Kraken's have")
    if left.strip():
        yield left


def _end_of_a_minute(text: bytes) -> int:
    """Where the last minute begins that may go on after ``text``; 0 if that cannot be told in it."""
    end = text.rfind(b"\n")
    last = None
    while end > 0:
        start = text.rfind(b"\n", 0, end) + 1
        minute = _minute(text[start:end])
        if last is None:
            last = minute
        elif minute is not None and minute != last:
            return end + 1
        end = start - 1
    return 0


def _minute(row: bytes) -> int | None:
    try:
        return int(float(row.split(b",", 1)[0])) // 60
    except (ValueError, OverflowError):
        return None


def _read_piece(member: ArchiveMember, timeframe: Timeframe, piece: bytes, now: datetime) -> FileReading:
    """The rows of a piece, screened.

    Raises:
        QualityError: if rows were lost on the way, which nothing may do.
    """
    raw, text = _straight(member.tier, piece), pl.concat_str(_COLUMNS[member.tier], separator=",")
    if raw is None:
        raw, text = _careful(member.tier, piece), pl.col("text")
    early = refused_early(raw)
    sound = raw.filter(pl.col("fault").is_null()).drop("fault")
    if member.tier is Tier.OHLCVT:
        screened = refuse_unfinished(screen_bars(sound, timeframe, now), timeframe, now)
        bars = _as_bars(screened.accepted, member.symbol, timeframe)
    else:
        screened = screen_trades(sound, now)
        bars = final_bars(_bars_of_trades(screened.accepted, member.symbol), timeframe, now)
    refused = pl.concat([early, screened.refused]).sort("line")
    if screened.accepted.height + refused.height != raw.height:
        raise QualityError(
            f"Rows of {member.origin} were lost while it was read.",
            expected=f"accepted + quarantined = {raw.height} rows",
            received=f"{screened.accepted.height} accepted, {refused.height} quarantined",
            remedy="report this as a defect; nothing of the file was kept",
        )
    if refused.height:
        texts = raw.filter(pl.col("line").is_in(refused["line"].implode())).select("line", record=text)
        refused = refused.drop("record").join(texts, on="line", how="left", maintain_order="left")
    return FileReading(
        symbol=member.symbol,
        timeframe=timeframe,
        format=_FORMATS[member.tier].value,
        rows=raw.height,
        accepted=screened.accepted.height,
        bars=bars,
        refused=refused.select(REFUSED_SCHEMA.keys()),
        span=Window(bars["time"][0], bars["time"][-1] + timeframe.duration) if bars.height else None,
        assumption="Kraken's own; minutes without a row had no trade" if timeframe.is_intraday else "Kraken's own",
    )


def _straight(tier: Tier, piece: bytes) -> pl.DataFrame | None:
    """The piece as raw rows; None where any row has not exactly its fields, or no time."""
    columns = _COLUMNS[tier]
    try:
        frame = pl.read_csv(
            io.BytesIO(piece), has_header=False, new_columns=list(columns), infer_schema=False, quote_char=None
        )
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None
    lines = piece.count(b"\n") + (not piece.endswith(b"\n"))
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


def _careful(tier: Tier, piece: bytes) -> pl.DataFrame:
    """The piece as raw rows, line by line, whatever it holds."""
    columns = _COLUMNS[tier]
    lines = lines_of(piece.decode("utf-8", "replace").replace("\0", "\ufffd"))
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
    """With ``time`` of ``time_text`` in seconds since 1970; null where that is none."""
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


def _check(reading: FileReading, member: ArchiveMember, *, is_first: bool) -> None:
    """Whether the rows are of the kind that the member's name says: one by one they could all be refused."""
    few = reading.accepted * 2 < reading.rows and reading.rows >= _ENOUGH_ROWS
    if few or (is_first and reading.accepted == 0):
        shown, why = reading.refused.select("record", "detail").row(0)
        expected = ",".join("time" if name == "time_text" else name for name in _COLUMNS[member.tier])
        detail = (
            f"most of its rows cannot be {expected} as in Kraken's {member.tier}: "
            f"{str(shown)[:100]} ({why}), for example"
        )
        raise FileRefused(Reason.UNSUPPORTED, detail, rows=reading.rows)
    times = reading.bars["time"]
    judged = is_first and member.tier is Tier.OHLCVT and member.timeframe is Timeframe.M1
    if judged and times.len() >= _ENOUGH_ROWS and (times.dt.truncate("5m") == times).all():
        detail = "every row lies on the grid of 5 minutes or more, so these are not the 1m bars its name says"
        raise FileRefused(Reason.UNSUPPORTED, detail, rows=reading.rows)


def _unordered(moment: datetime) -> FileRefused:
    return FileRefused(
        Reason.UNSUPPORTED,
        f"its rows are not in the order of time: {moment.isoformat()} comes after later ones",
    )
