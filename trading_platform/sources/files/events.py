"""Files of trades or quotes as a feed's events, in the order of the file.

:mod:`trading_platform.sources.files.reading` turns the same files into bars at once. Here they become the events
that a live feed would emit, for :mod:`trading_platform.streaming.replay.replay`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.bars import TIME
from trading_platform.domain.market.live.events import Event, FeedUp, Quote, Trade
from trading_platform.domain.quality.rules import REJECTED_SCHEMA
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.time import Timeframe
from trading_platform.sources.files.content.contents import FileContent
from trading_platform.sources.files.content.options import ImportOptions
from trading_platform.sources.files.numbers.number_columns import settle_numbers
from trading_platform.sources.files.parts import parts_of
from trading_platform.sources.files.reading import Registered, ZoneOf, nothing_registered, zone_for
from trading_platform.sources.files.recognition.formats import Kind
from trading_platform.sources.files.recognition.names import FileName
from trading_platform.sources.files.rows import (
    ContentTask,
    faults_of,
    rejected_early,
    scaled,
    texts_of,
    with_records,
)
from trading_platform.sources.files.times.utc_times import settle

_CHUNK = 50_000
"""Number of rows that are converted to Python objects at a time."""

_BLANK = ("", "nan", "null", "none")
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?$"


@dataclass(frozen=True)
class TickFile:
    """Trades or quotes of one symbol.

    Attributes:
        symbol: symbol of the ticks.
        kind: trades or quotes.
        rows: number of data records, including the rejected ones.
        ticks: the readable rows in the order of the file: ``line``, ``time`` and the numbers as text, null
            for a missing side of a quote.
        rejected: frame of ``REJECTED_SCHEMA``: rows with an unreadable time or number.
        sha256: hash of the bytes, decompressed.
        assumption: how the file's times were interpreted, in words.
    """

    symbol: str
    kind: Kind
    rows: int
    ticks: pl.DataFrame
    rejected: pl.DataFrame
    sha256: str
    assumption: str

    def events(self, after: int = -1) -> Iterator[tuple[int, Event]]:
        """The events with their running numbers.

        Number 0 is a ``FeedUp`` at the minute of the earliest tick: the file covers
        all of that minute. The number of a tick is its position in :attr:`ticks`, from 1.

        Args:
            after: number after which to begin.
        """
        if after < 0 and not self.ticks.is_empty():
            first: datetime = self.ticks["time"].min()  # type: ignore[assignment]
            yield 0, FeedUp(first.astimezone(UTC).replace(second=0, microsecond=0), frozenset((self.symbol,)))
        for start in range(max(after, 0), self.ticks.height, _CHUNK):
            yield from enumerate(self._chunk(start), start + 1)

    @property
    def length(self) -> int:
        """The number of events."""
        return self.ticks.height + 1 if self.ticks.height else 0

    def _chunk(self, start: int) -> Iterator[Event]:
        part = self.ticks[start : start + _CHUNK]
        timestamps = (naive.replace(tzinfo=UTC) for naive in part["time"].dt.replace_time_zone(None))
        if self.kind is Kind.TRADES:
            for timestamp, price, quantity in zip(timestamps, part["price"], part["quantity"], strict=True):
                yield Trade(self.symbol, timestamp, Decimal(price), Decimal(quantity))
            return
        for timestamp, bid, ask in zip(timestamps, part["bid"], part["ask"], strict=True):
            yield Quote(
                self.symbol,
                timestamp,
                None if bid is None else Decimal(bid),
                None if ask is None else Decimal(ask),
            )


def read_ticks(
    content: FileContent, options: ImportOptions, *, zone_of: ZoneOf, registered: Registered = nothing_registered
) -> TickFile:
    """Reads the ticks of a content.

    Args:
        content: its bytes and names.
        options: the user's options.
        zone_of: gives the zone of a symbol's exchange, for times that are local to it.
        registered: gives the instrument of a symbol, if it is in the universe.

    Raises:
        FileRejected: if no row of it can be read.
        InvalidRequest: if it holds no ticks, or its symbol is neither recognised nor given.
    """
    name = FileName(content.names)
    data = content.load()
    parts = parts_of(data, name, options, registered).parts
    layout, table = parts[0].layout, parts[0].table
    if layout.kind not in (Kind.TRADES, Kind.QUOTES):
        raise InvalidRequest(
            f"{name.names[0]} holds {layout.kind.value}, which cannot be replayed.",
            expected="trades, quotes, or a recording of the stream",
            received=f"a file recognised as {layout.format.value}",
            remedy="import it: trading-platform import FILE",
        )
    if len(parts) > 1:
        raise InvalidRequest(
            f"{name.names[0]} holds several instruments.",
            expected="one instrument",
            received=", ".join(part.symbol or "rows without a symbol" for part in parts),
            remedy="choose one with --symbol",
        )
    symbol = parts[0].symbol or ""
    read = settle_numbers(table, layout, symbol, options, whole=parts[0].whole)
    layout = read.layout
    task = ContentTask(table, layout, name, options, symbol, Timeframe.M1, read.style, read.notes)
    settled = settle(parts[0].times, daily=False, ticks=True, zone=lambda: zone_for(task, zone_of))
    time_text = table.frame[layout.roles["time"]].cast(pl.String)
    raw = _numbers(task).with_columns(
        line=table.lines,
        record=pl.lit(None, dtype=pl.String),
        time=settled.time,
        time_text=time_text,
        fault=faults_of(task, settled, time_text),
    )
    early = rejected_early(raw)
    ticks, rejected = _readable(raw.filter(pl.col("fault").is_null()), task)
    return TickFile(
        symbol=task.symbol,
        kind=layout.kind,
        rows=table.height,
        ticks=ticks,
        rejected=with_records(pl.concat([early, rejected]).sort("line"), table),
        sha256=hashlib.sha256(data).hexdigest(),
        assumption="; ".join((settled.assumption, *read.notes)),
    )


def _names(task: ContentTask) -> tuple[str, str]:
    return ("price", "quantity") if task.layout.kind is Kind.TRADES else ("bid", "ask")


def _numbers(task: ContentTask) -> pl.DataFrame:
    """The two numbers of a tick as text, null where there is none."""
    frame = pl.DataFrame({name: texts_of(task, name) for name in _names(task)})
    blank = {name: pl.col(name).str.to_lowercase().is_in(_BLANK) for name in frame.columns}
    if task.layout.zero_is_missing:
        zero = {name: (pl.col(name).cast(pl.Float64, strict=False) == 0).fill_null(value=False) for name in blank}
        blank = {name: blank[name] | zero[name] for name in blank}
    frame = frame.with_columns(pl.when(~blank[name]).then(pl.col(name)).alias(name) for name in blank)
    prices = [name for name in frame.columns if name != "quantity"]
    return frame.with_columns(scaled(task, frame[name]).alias(name) for name in prices)


def _readable(raw: pl.DataFrame, task: ContentTask) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The readable rows, and the unreadable ones with their reason. The values are validated later."""
    names = _names(task)
    missing = [pl.col(name).is_null() for name in names]
    is_missing = pl.any_horizontal(missing) if task.layout.kind is Kind.TRADES else pl.all_horizontal(missing)
    unread = pl.any_horizontal(~pl.col(name).str.contains(_NUMBER).fill_null(value=True) for name in names)
    rules = (
        (pl.col("time").is_null(), Reason.UNREADABLE_TIME, pl.format("{} is not a time", "time_text")),
        (is_missing, Reason.MISSING_VALUE, pl.lit(f"{' and '.join(names)} are missing")),
        (unread, Reason.UNREADABLE_NUMBER, pl.lit(f"{' or '.join(names)} is not a number")),
    )
    judged = raw.with_columns(
        reason=pl.coalesce(pl.when(broken).then(pl.lit(reason.value)) for broken, reason, _ in rules),
        detail=pl.coalesce(pl.when(broken).then(detail) for broken, _, detail in rules),
        row_count=pl.lit(1, dtype=pl.Int64),
        bar=None,
    )
    bad = pl.col("reason").is_not_null()
    rejected = judged.filter(bad).select(pl.col(name).cast(dtype) for name, dtype in REJECTED_SCHEMA.items())
    return judged.filter(~bad).select("line", pl.col("time").cast(TIME), *names), rejected
