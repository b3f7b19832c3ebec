"""Inputs of a replay: files of trades or quotes, and recordings of a feed.

The replay itself is :mod:`trading_platform.streaming.replay.replay`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.live.bar_builder import GRACE
from trading_platform.domain.market.live.bar_series import Basis
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.sources.files.content.contents import open_contents
from trading_platform.sources.files.content.options import ImportOptions
from trading_platform.sources.files.events import TickFile, read_ticks
from trading_platform.sources.files.reading import SOURCE, Registered, ZoneOf, nothing_registered
from trading_platform.sources.files.recognition.formats import Kind
from trading_platform.streaming.replay.recorded_events import Recorded
from trading_platform.streaming.replay.recording import Recording, is_recording


@dataclass
class ReplayInput:
    """An input of a replay.

    Attributes:
        stream: name of its position in the database: the same for the same content and basis.
        origin: its path, for the quarantine.
        source: value of the column ``source`` of its bars.
        basis: the basis of each symbol's bars.
        grace: time after the end of a minute in which its events are still accepted.
        fill_no_trade: whether a minute without trades gets a bar at the last price.
        complete: whether no further events can follow its end; a recording may be continued.
        length: its last offset plus one.
        events: returns the events after an offset.
        line_of: returns the line of an offset, from 1.
        rejected: its rows that are no events; grows while it is read.
    """

    stream: str
    origin: str
    source: str
    basis: Mapping[str, Basis]
    grace: timedelta
    fill_no_trade: bool
    complete: bool
    length: int
    events: Callable[[int], Iterator[Recorded]]
    line_of: Callable[[int], int]
    rejected: list[dict[str, Any]] = field(default_factory=list)


def open_inputs(
    path: Path,
    *,
    basis: Basis | None = None,
    options: ImportOptions | None = None,
    zone_of: ZoneOf,
    registered: Registered = nothing_registered,
) -> list[ReplayInput]:
    """Opens the inputs of a file: a recording, or the tables of ticks in it.

    Args:
        path: the file.
        basis: the price that the bars are built from; None means trades, for a file of quotes their mid, and for
            a recording the basis in its header.
        options: options for reading the file; for a recording only the symbol is used.
        zone_of: the time zone of a symbol's exchange, for local times.
        registered: the instrument of a symbol, if it is in the universe.

    Raises:
        InvalidRequest: if there is no such file, or it cannot be replayed with these options.
        SourceError: if its content cannot be read.
    """
    options = options or ImportOptions()
    if path.is_file() and is_recording(path):
        return [_of_recording(Recording(path), basis, options.symbol)]
    return [
        _of_ticks(read_ticks(content, options, zone_of=zone_of, registered=registered), basis, content.origin, options)
        for content in open_contents(path)
    ]


def _of_ticks(ticks: TickFile, basis: Basis | None, origin: str, options: ImportOptions) -> ReplayInput:
    of_trades = ticks.kind is Kind.TRADES
    basis = basis or (Basis.TRADE if of_trades else Basis.MID)
    if of_trades is not (basis is Basis.TRADE):
        raise InvalidRequest(
            f"{origin} cannot give such bars.",
            expected="trade" if of_trades else "bid, ask or mid",
            received=f"--basis {basis.value} for a file of {ticks.kind.value}",
            remedy="omit --basis, or choose one of the expected values",
        )
    rejected = [
        rejected_row(row["line"], row["reason"], row["detail"], row["record"], row["time"], ticks.symbol)
        for row in ticks.rejected.iter_rows(named=True)
    ]
    lines = ticks.ticks["line"]
    read_as = [option for option in (options.timezone, options.dates) if option is not None]
    return ReplayInput(
        stream=" ".join(("replay", ticks.symbol, basis.value, ticks.sha256[:32], *read_as)),
        origin=origin,
        source=SOURCE,
        basis={ticks.symbol: basis},
        grace=GRACE,
        fill_no_trade=False,
        complete=True,
        length=ticks.length,
        events=lambda after: (Recorded(offset, event, None) for offset, event in ticks.events(after)),
        line_of=lambda offset: lines[offset - 1],
        rejected=rejected,
    )


def _of_recording(recording: Recording, basis: Basis | None, symbol: str | None) -> ReplayInput:
    header = recording.header
    if symbol is not None and symbol not in header.basis:
        raise InvalidRequest(
            f"{recording.path} holds nothing of {symbol}.",
            expected=f"one of {', '.join(header.basis)}",
            received=symbol,
            remedy="choose one of the expected symbols, or omit --symbol",
        )
    chosen = {name: basis or own for name, own in header.basis.items() if symbol in (None, name)}
    rejected: list[dict[str, Any]] = []

    def reject(line: int, reason: Reason, detail: str, record: str) -> None:
        rejected.append(rejected_row(line, reason, detail, record, None, None))

    def events(after: int) -> Iterator[Recorded]:
        for recorded in recording.events(after, reject=reject):
            if symbol is None or getattr(recorded.event, "symbol", symbol) == symbol:
                yield recorded

    words = f"{symbol or 'all'} {basis.value if basis else 'own basis'}"
    return ReplayInput(
        stream=f"replay {header.source} {words} {header.started.isoformat()}",
        origin=str(recording.path),
        source=header.source,
        basis=chosen,
        grace=header.grace,
        fill_no_trade=header.fill_no_trade,
        complete=False,
        length=recording.count(),
        events=events,
        line_of=lambda offset: offset + 1,
        rejected=rejected,
    )


def rejected_row(
    line: int, reason: str, detail: str, record: str | None, time: datetime | None, symbol: str | None
) -> dict[str, Any]:
    """A rejected row of ``REJECTED_SCHEMA``, with its symbol."""
    names = ("line", "reason", "detail", "record", "time", "symbol")
    return dict(zip(names, (line, str(reason), detail, record, time, symbol), strict=True))
