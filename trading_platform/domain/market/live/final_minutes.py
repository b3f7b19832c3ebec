"""What comes of a feed's events: minutes that are final, events that cannot be used, and their counts.

:mod:`trading_platform.domain.market.live.bar_builder` builds them; here is also the form in which its state is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from trading_platform.domain.market.bars import BAR_SCHEMA
from trading_platform.domain.market.live.bar_series import MINUTE
from trading_platform.domain.market.live.events import Event
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.time import Timeframe, Window

STATE_VERSION = 2
"""Version of the builder's state."""


@dataclass(frozen=True, slots=True)
class FinalMinutes:
    """The minutes that became final since the last call.

    Attributes:
        since: all minutes before it were final already.
        until: all minutes before it are final now.
        bars: frame of ``BAR_SCHEMA``, 1m, sorted by (symbol, time).
        covered: by symbol the whole minutes during which the feed was up, as disjoint windows in order;
            a minute in them without a bar is confirmed empty.
        late: by symbol the whole minutes that changed after they were final: an event arrived that is in no
            bar, or the feed turned out to have been down. They must be requested again.
        late_events: number of events that arrived late.
    """

    since: datetime
    until: datetime
    bars: pl.DataFrame
    covered: dict[str, list[Window]]
    late: dict[str, list[Window]]
    late_events: int

    def late_minutes(self) -> list[tuple[str, datetime]]:
        """Symbol and start of each minute in :attr:`late`."""
        return [
            (symbol, window.start + index * MINUTE)
            for symbol, windows in self.late.items()
            for window in windows
            for index in range((window.end - window.start) // MINUTE)
        ]


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event that cannot be used.

    Attributes:
        event: as received.
        reason: the rule it breaks.
        detail: a description.
    """

    event: Event
    reason: Reason
    detail: str


@dataclass(slots=True)
class Counts:
    """Counts of all events: received = accepted + rejected + duplicates + repeated.

    Attributes:
        received: all events.
        accepted: used, or valid but not needed for the bars' basis.
        rejected: events that break a rule.
        duplicates: trades with an id that was counted already.
        repeated: events read before and fed again after a restart.
        late: of the accepted, those that arrived after their minute was final.
        early: of the accepted, those of minutes that ended before the feed was first up.
        cut: minutes with events but without a bar, because the feed was down during a part of them.
    """

    received: int = 0
    accepted: int = 0
    rejected: int = 0
    duplicates: int = 0
    repeated: int = 0
    late: int = 0
    early: int = 0
    cut: int = 0


def frame_of(rows: Iterable[tuple[Any, ...]], source: str) -> pl.DataFrame:
    """The bars of rows (time, symbol, prices, volume, quality), a frame of ``BAR_SCHEMA``."""
    ordered = sorted(rows, key=lambda row: (row[1], row[0]))
    columns = list(zip(*ordered, strict=True)) or [()] * 8
    time, symbol, *prices, volume, quality = columns
    values = dict(zip(("open", "high", "low", "close"), prices, strict=True))
    constants = {"timeframe": Timeframe.M1.value, "source": source}
    data = {"time": time, "symbol": symbol, "volume": volume, "quality": quality, **values}
    data |= {name: (value,) * len(ordered) for name, value in constants.items()}
    return pl.DataFrame({name: data[name] for name in BAR_SCHEMA}, schema=BAR_SCHEMA)


def of_present_version(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """A state of version 1, in which three keys had other names, in the form of the present version."""
    if state.get("version") != 1:
        return state
    return {
        **state,
        "version": STATE_VERSION,
        "fill_no_trade": state["fill_silent"],
        "counts": _renamed(state["counts"], "refused", "rejected"),
        "series": {symbol: _renamed(kept, "told_until", "emitted_until") for symbol, kept in state["series"].items()},
    }


def _renamed(values: Mapping[str, Any], before: str, after: str) -> dict[str, Any]:
    return {after if name == before else name: value for name, value in values.items()}


def windows_as_text(windows: Iterable[Window]) -> list[list[str]]:
    """Windows as they are stored in a state."""
    return [[window.start.isoformat(), window.end.isoformat()] for window in windows]


def windows_of_text(texts: Iterable[tuple[str, str]]) -> list[Window]:
    """The windows of a result of :func:`windows_as_text`."""
    return [Window(datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in texts]
