"""What a feed delivered and could not be used, for the quarantine: the first of each reason whole, the rest counted.

A source that fails, or a hostile one, can send unusable messages as fast as the network takes them. So of each reason
:data:`KEPT_AT_ONCE` are stored as they came and then one a minute; the others are counted, and the count is stored
each minute as one row. Every rejected event and message is in ``row_count`` of some row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from trading_platform.domain.market.live.final_minutes import Rejected
from trading_platform.domain.quality.rules import rejected_frame
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.time import Timeframe
from trading_platform.sources.live import RejectedMessage

KEPT_AT_ONCE = 20
"""Rows of one reason that are stored whole before the others are counted."""

EVERY = timedelta(minutes=1)
"""How often one more is stored whole, and the count of the others."""

RECORD_LENGTH = 1_000
"""Characters that are stored of an event or message, and of the description."""

_NAMED = 10  # symbols that a count names
_SYMBOL_LENGTH = 20  # of the column


@dataclass(frozen=True)
class QuarantineRows:
    """Rows for the quarantine, of one symbol.

    Attributes:
        symbol: the symbol; None where it is unknown or there are several.
        timeframe: 1m for events, None for messages.
        origin: where the rows come from.
        rows: frame of ``REJECTED_SCHEMA``.
    """

    symbol: str | None
    timeframe: str | None
    origin: str
    rows: pl.DataFrame


@dataclass(slots=True)
class _Counted:
    """The rejections of one reason that are counted and not stored whole.

    Attributes:
        number: how many.
        since: when the first was received.
        last: when the last was received.
        detail: description of the last.
        record: the last as it came.
        symbols: their symbols.
    """

    number: int
    since: datetime
    last: datetime
    detail: str
    record: str
    symbols: set[str | None]


@dataclass
class Rejections:
    """The rejected events and messages of one feed.

    Attributes:
        counts: how many were rejected, by reason.
    """

    counts: Counter[str] = field(default_factory=Counter)
    _waiting: list[tuple[str | None, str | None, dict[str, Any]]] = field(default_factory=list)
    _allowed: dict[Reason, tuple[float, datetime]] = field(default_factory=dict)
    _counted: dict[Reason, _Counted] = field(default_factory=dict)
    _number: int = 0

    def __bool__(self) -> bool:
        """Whether anything was rejected that is not stored yet."""
        return bool(self._waiting or self._counted)

    def add_message(self, message: RejectedMessage) -> None:
        """Takes a message that could not be read."""
        self._add(message.reason, message.detail, message.record, message.time, message.time, None, None)

    def add_events(self, rejected: Iterable[Rejected], received: datetime) -> None:
        """Takes events that break a rule, received at a time."""
        for each in rejected:
            time = each.event.time if each.event.time.tzinfo is not None else None
            symbol = getattr(each.event, "symbol", None)
            self._add(each.reason, each.detail, repr(each.event), time, received, symbol, Timeframe.M1.value)

    def take(self, now: datetime, *, everything: bool = False) -> list[QuarantineRows]:
        """The rows to be stored now.

        Args:
            now: the receiver's clock; counts that began a minute before it are due.
            everything: take all counts, because the feed ends.
        """
        for reason, counted in list(self._counted.items()):
            if everything or not counted.since <= now < counted.since + EVERY:
                del self._counted[reason]
                self._waiting.append(self._count_row(reason, counted))
        waiting, self._waiting = self._waiting, []
        found: dict[tuple[str | None, str | None], list[dict[str, Any]]] = {}
        for symbol, timeframe, row in waiting:
            found.setdefault((symbol, timeframe), []).append(row)
        origin = f"live, received {now.isoformat()}"
        return [
            QuarantineRows(symbol, timeframe, origin, rejected_frame(*rows))
            for (symbol, timeframe), rows in found.items()
        ]

    def _add(
        self,
        reason: Reason,
        detail: str,
        record: str,
        time: datetime | None,
        received: datetime,
        symbol: str | None,
        timeframe: str | None,
    ) -> None:
        self._number += 1
        self.counts[reason.value] += 1
        detail, record = _cut(detail), _cut(record)
        if self._may_keep(reason, received):
            known = symbol if symbol is None or len(symbol) <= _SYMBOL_LENGTH else None
            self._waiting.append((known, timeframe, _row(self._number, time, reason, detail, record, 1)))
            return
        counted = self._counted.get(reason)
        if counted is None:
            self._counted[reason] = _Counted(1, received, received, detail, record, {symbol})
            return
        counted.number += 1
        counted.last, counted.detail, counted.record = received, detail, record
        if len(counted.symbols) <= _NAMED:
            counted.symbols.add(symbol)

    def _may_keep(self, reason: Reason, received: datetime) -> bool:
        left, since = self._allowed.get(reason, (float(KEPT_AT_ONCE), received))
        left = min(KEPT_AT_ONCE, left + max(received - since, timedelta(0)) / EVERY)
        self._allowed[reason] = (left - 1 if left >= 1 else left, received)
        return left >= 1

    def _count_row(self, reason: Reason, counted: _Counted) -> tuple[str | None, str | None, dict[str, Any]]:
        names = sorted(filter(None, counted.symbols))
        more = " and others" if len(counted.symbols) > _NAMED else ""
        of = f" of {', '.join(names[:_NAMED])}{more}" if names else ""
        detail = (
            f"{counted.number:,} more{of}, received {counted.since:%Y-%m-%d %H:%M:%S} to {counted.last:%H:%M:%S} UTC; "
            f"the last: {counted.detail}"
        )
        row = _row(None, None, reason, detail, counted.record, counted.number)
        return (None, None, row)


def _row(
    number: int | None, time: datetime | None, reason: Reason, detail: str, record: str, count: int
) -> dict[str, Any]:
    return {
        "line": number,
        "time": time,
        "reason": reason.value,
        "detail": detail,
        "record": record,
        "row_count": count,
    }


def _cut(text: str) -> str:
    """The beginning of a text, without what is not Unicode and what the database cannot store."""
    return text[:RECORD_LENGTH].encode("utf-8", "replace").decode()
