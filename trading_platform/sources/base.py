"""What the platform asks of a source of bars, whoever it is.

A source parses to the domain and applies its rules; it stores nothing and decides nothing about
what to fetch: that is the business of :mod:`trading_platform.workflows.backfill_bars`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import polars as pl

from trading_platform.domain.instruments import Instrument
from trading_platform.domain.time import Timeframe, Window


@dataclass(frozen=True)
class BarAnswer:
    """What a source answered for a window.

    Attributes:
        bars: frame of ``BAR_SCHEMA``, one symbol, sorted, only final bars inside the window.
        refused: frame of ``REFUSED_SCHEMA``: rows that cannot be bars.
        answered: the parts of the window the source has truly answered for; a slot in them
            without a bar is proven empty. What is left of the window was not answered.
        origin: what was asked, for the record: a path, an address and its parameters.
        note: why the rest of the window was not answered, where some of it was not.
    """

    bars: pl.DataFrame
    refused: pl.DataFrame
    answered: tuple[Window, ...]
    origin: str
    note: str | None = None


def is_recorded(source: BarSource) -> bool:
    """Whether a source answers from a record, so that asking it again tells nothing new: what was imported."""
    return bool(getattr(source, "recorded", False))


class BarSource(Protocol):
    """Somebody who can be asked for bars."""

    @property
    def name(self) -> str:
        """What stands in the ``source`` column of its bars: ``kraken`` or ``file``."""

    def longest_request(self, timeframe: Timeframe) -> timedelta:
        """The longest window worth asking for at once; what was had is committed at this grain."""

    def reach(self, instrument: Instrument, timeframe: Timeframe) -> tuple[Window, ...]:
        """The disjoint windows this source can be asked for, in order; none if it has no bars of that length."""

    def bars(self, instrument: Instrument, timeframe: Timeframe, window: Window) -> BarAnswer:
        """The bars of ``window``.

        Raises:
            SourceError: if nothing could be had; partial knowledge is an answer instead.
        """
