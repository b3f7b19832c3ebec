"""What of a request lies outside the available history: before it, after it, or all of it.

A backfill says it, so that a window that was not requested in full is never taken for a complete one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.calendars import expected_times, last_closed
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Clock, Timeframe, Window, shifted, within
from trading_platform.workflows.backfill.plan_backfill import AvailableHistory

_SURELY_OPEN = timedelta(days=14)  # no calendar is closed for so long
_NAMED = 3  # windows of an available history that a sentence names

_REMEDIES = {
    "kraken": {
        True: "name the time with `backfill --start`, which rebuilds its minutes from Kraken's trades, or import "
        "Kraken's archive with `trading-platform import Kraken_OHLCVT.zip`",
        False: "import Kraken's archive with `trading-platform import Kraken_OHLCVT.zip`; its REST has 720 days",
    },
    "file": {
        True: "import a file with these bars, or name another source with `trading-platform instruments add {symbol} "
        "--source kraken`, `ibkr` or `yahoo`",
    },
}
_REMEDY = (
    "import a file with these bars and read it with `trading-platform instruments add {symbol} --source file`, or "
    "request a window that {source} has"
)


@dataclass(frozen=True)
class OutsideHistory:
    """A request of which a part, or all, lies outside the available history.

    Attributes:
        instrument: instrument of the bars.
        timeframe: length of the bars.
        requested: the requested window.
        available: the available windows, in order; empty if the source has no such bars.
        outside: the parts of the request before the first and after the last of them, in which the market was open.
        future_from: from when on the request has not ended yet, if it reaches so far.
        nothing: whether nothing of the request is available.
    """

    instrument: Instrument
    timeframe: Timeframe
    requested: Window | None
    available: tuple[Window, ...]
    outside: tuple[Window, ...]
    future_from: datetime | None
    nothing: bool

    @property
    def has(self) -> str:
        """What is available, in words."""
        name = f"{self.instrument.source} has"
        if not self.available:
            return f"{name} no {self.timeframe} bars of {self.instrument.symbol}"
        spans = [f"{_text(window.start)} to {_text(window.end)}" for window in self.available]
        if len(spans) > _NAMED:
            spans = [*spans[: _NAMED - 1], f"{len(spans) - _NAMED} more windows", spans[-1]]
        return f"{name} {self.timeframe} bars of {self.instrument.symbol} from {', '.join(spans)} (UTC)"

    @property
    def remedy(self) -> str:
        """What to do to get the rest."""
        if self.future_from is not None and not self.outside:
            return "run the command again when it has ended"
        remedies = _REMEDIES.get(self.instrument.source, {})
        remedy = remedies.get(self.timeframe.is_intraday) or remedies.get(True) or _REMEDY
        return remedy.format(symbol=self.instrument.symbol, source=self.instrument.source)

    @property
    def sentence(self) -> str:
        """What is left out and why, for a person."""
        parts = [f"{_text(window.start)} to {_text(window.end)}" for window in self.outside]
        if self.future_from is not None:
            parts.append(f"what has not ended at {_text(self.future_from)}")
        left_out = " and ".join(parts) or "the request"
        return f"{self.instrument.symbol} {self.timeframe}: {left_out} is left out; {self.has}. To do: {self.remedy}."

    def error(self) -> InvalidRequest:
        """The error for a request of which nothing is available."""
        symbol, source = self.instrument.symbol, self.instrument.source
        asked = f" in {self.requested}" if self.requested is not None else ""
        return InvalidRequest(
            f"No {self.timeframe} bars of {symbol} are available{asked}.",
            expected=f"a window that its source, {source}, has: {self.has}" if self.available else self.has,
            received=str(self.requested) if self.requested is not None else f"a request for {self.timeframe} bars",
            remedy=self.remedy,
        )

    def as_dict(self) -> dict[str, object]:
        """The parts for ``--json``."""
        return {
            "symbol": self.instrument.symbol,
            "timeframe": self.timeframe.value,
            "source": self.instrument.source,
            "available": [[window.start.isoformat(), window.end.isoformat()] for window in self.available],
            "outside": [[window.start.isoformat(), window.end.isoformat()] for window in self.outside],
            "not_ended_from": self.future_from.isoformat() if self.future_from else None,
            "remedy": self.remedy,
        }


def outside_history(
    instrument: Instrument,
    timeframe: Timeframe,
    history: AvailableHistory | None,
    start: datetime | None,
    end: datetime | None,
    *,
    clock: Clock,
) -> OutsideHistory | None:
    """What of a request is not available; None if all of it is, as far as the market was open.

    Args:
        instrument: instrument of the bars.
        timeframe: length of the bars.
        history: the available history, None if the source has no such bars.
        start: requested start; None begins with the available history.
        end: requested end, not included; None means the present.
        clock: determines what has closed.
    """
    closed = last_closed(instrument.calendar, timeframe, clock())
    available = history.windows if history else ()
    if start is None and end is None:
        return None if available else OutsideHistory(instrument, timeframe, None, (), (), None, nothing=True)
    first = start or (min(available[0].start, shifted(end, -timeframe.duration)) if available and end else None)
    last = end or max(closed, clock())
    if first is None or first >= last:  # a start in the future, or an end without anything available
        first = first or shifted(last, -timeframe.duration)
        last = max(last, shifted(first, timeframe.duration))
    requested = Window(first, last)
    past = requested.intersect(Window(shifted(min(first, closed), -timeframe.duration), closed))
    future = closed if first >= closed or (end and _opens(instrument, timeframe, requested, closed)) else None
    edges = _edges(past, available) if past else []
    outside = tuple(edge for edge in edges if _is_open(instrument, timeframe, edge))
    nothing = not within(available, requested)
    if not outside and future is None and not nothing:
        return None
    return OutsideHistory(instrument, timeframe, requested, available, outside, future, nothing=nothing)


def _edges(requested: Window, available: tuple[Window, ...]) -> list[Window]:
    """The parts of a request before the first and after the last available time."""
    if not available:
        return [requested]
    whole = Window(available[0].start, max(window.end for window in available))
    return requested.subtract([whole])


def _opens(instrument: Instrument, timeframe: Timeframe, requested: Window, closed: datetime) -> bool:
    """Whether the request goes on after the last closed bar, to a time at which there will be one."""
    rest = requested.intersect(Window(closed, max(requested.end, closed + timeframe.duration)))
    return rest is not None and _is_open(instrument, timeframe, rest)


def _is_open(instrument: Instrument, timeframe: Timeframe, window: Window) -> bool:
    if window.end - window.start > _SURELY_OPEN:
        return True
    return not expected_times(instrument.calendar, timeframe, window).is_empty()


def _text(timestamp: datetime) -> str:
    """A date, with the time of day where it is not midnight."""
    return f"{timestamp:%Y-%m-%d}" if f"{timestamp:%H:%M}" == "00:00" else f"{timestamp:%Y-%m-%d %H:%M}"
