"""What a backfill is asked for, and what of it the sources have: refused where that is nothing, said where it is less.

:mod:`trading_platform.cli.market_data.backfill` runs it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.time import DAILY_START, Clock, Timeframe, Window

if TYPE_CHECKING:
    from trading_platform.domain.market.instruments import Instrument
    from trading_platform.resources.platform import PlatformContext
    from trading_platform.workflows.backfill.outside_history import OutsideHistory
    from trading_platform.workflows.backfill.plan_backfill import AvailableHistory


@dataclass(frozen=True)
class BackfillRequest:
    """What a backfill is asked for.

    Attributes:
        symbols: the named symbols; empty means the whole universe.
        timeframes: the named timeframes; empty means all that are available.
        start: start of the window; None means the beginning of the available history.
        end: end of the window, not included; None means the present.
    """

    symbols: tuple[str, ...] = ()
    timeframes: tuple[Timeframe, ...] = ()
    start: datetime | None = None
    end: datetime | None = None

    @property
    def lengths(self) -> list[Timeframe]:
        """The timeframes to look at."""
        return list(dict.fromkeys(self.timeframes)) or list(Timeframe)

    def window(self, clock: Clock) -> Window | None:
        """The requested window; None means the whole available history.

        Raises:
            InvalidRequest: if it ends before it starts.
        """
        if self.start is None and self.end is None:
            return None
        end = self.end or clock()
        return Window(self.start or min(DAILY_START, end - timedelta(days=1)), end)


@dataclass(frozen=True)
class Reach:
    """What the sources have of a request.

    Attributes:
        available: the available histories to backfill.
        outside: the parts of the request that are left out.
    """

    available: tuple[AvailableHistory, ...]
    outside: tuple[OutsideHistory, ...]


def reach_of(platform: PlatformContext, request: BackfillRequest) -> Reach:
    """What the sources have of a request.

    Raises:
        InvalidRequest: for unknown symbols, an empty universe, and for a named symbol or timeframe of which nothing
            that was requested is available.
    """
    from trading_platform.workflows.backfill.outside_history import outside_history
    from trading_platform.workflows.backfill.plan_backfill import available_history_of

    chosen = list(request.symbols) or list(platform.stores.instruments.all())
    if not chosen:
        raise InvalidRequest(
            "There is nothing to backfill: the universe is empty.",
            expected="at least one instrument",
            remedy="`trading-platform import FILE` or `trading-platform instruments add SYMBOL` adds one",
        )
    available: list[AvailableHistory] = []
    outside: dict[str, list[OutsideHistory]] = {}
    for instrument in platform.instruments(list(dict.fromkeys(chosen))):
        found = outside.setdefault(instrument.symbol, [])
        for length in request.lengths:
            history = available_history_of(platform.stores, platform.sources, instrument, length, platform.clock)
            available += [history] if history else []
            less = outside_history(instrument, length, history, request.start, request.end, clock=platform.clock)
            found += [less] if less else []
        if request.symbols:
            _refuse(instrument, found, request)
    _refuse_all(outside, request)
    shown = [less for found in outside.values() for less in _said(found, request)]
    return Reach(tuple(available), tuple(shown))


def _refuse(instrument: Instrument, outside: Sequence[OutsideHistory], request: BackfillRequest) -> None:
    """Raises for a named symbol of which nothing is available: of a named timeframe, or of all timeframes."""
    nothing = [less for less in outside if less.nothing]
    if nothing and request.timeframes:
        raise nothing[0].error()
    if len(nothing) < len(request.lengths):
        return
    elsewhere = [less for less in nothing if less.available]
    if elsewhere:
        raise elsewhere[-1].error()
    raise InvalidRequest(
        f"No {', '.join(request.lengths)} bars of {instrument.symbol} are available.",
        expected=f"bars from its source, {instrument.source}",
        remedy=nothing[-1].remedy,
    )


def _refuse_all(outside: Mapping[str, Sequence[OutsideHistory]], request: BackfillRequest) -> None:
    """Raises if nothing of any symbol is available."""
    if any(sum(less.nothing for less in found) < len(request.lengths) for found in outside.values()):
        return
    first = next(iter(outside.values()))
    raise ([less for less in first if less.available] or list(first))[-1].error()


def _said(outside: Sequence[OutsideHistory], request: BackfillRequest) -> list[OutsideHistory]:
    """What is said of a symbol: of timeframes that nobody named, only those that its source has, if it has any."""
    if request.timeframes:
        return list(outside)
    if len(outside) == len(request.lengths) and not any(less.available for less in outside):
        return list(outside[-1:])
    return [less for less in outside if less.available]
