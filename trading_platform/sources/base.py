"""What the platform asks of a source of bars, and of a broker, whoever it is.

A source parses to the domain and applies its rules; it stores nothing and decides nothing about
what to fetch: that is the business of :mod:`trading_platform.workflows.bars.backfill_bars`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

import polars as pl

from trading_platform.domain.market.checkpoints import Checkpoint
from trading_platform.domain.market.corporate_actions import CorporateAction
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Timeframe, Window
from trading_platform.domain.trading.broker import BrokerBalance, BrokerFill, BrokerPosition

NEEDS_SETTING = {"ibkr": "IBKR_HOST"}
"""Sources that are there only when a setting says where, by name."""


@dataclass(frozen=True)
class SecondVersion:
    """Bars that a tier of the source tells of, although the answer has them, or had them, from another.

    Attributes:
        bars: frame of ``BAR_SCHEMA``, one symbol, sorted; only those that are stored are compared.
        kind: which one, in words of the vendor.
        finer: whether it is right where the two differ, as trades are where candles say other things.
    """

    bars: pl.DataFrame
    kind: str
    finer: bool


@dataclass(frozen=True)
class BarResponse:
    """What a source answered for a window.

    Attributes:
        bars: frame of ``BAR_SCHEMA``, one symbol, sorted, only final bars inside the window.
        rejected: frame of ``REJECTED_SCHEMA``: rows that cannot be bars.
        answered: the parts of the window the source has truly answered for; a slot in them
            without a bar is proven empty. What is left of the window was not answered.
        origin: what was asked, for the record: a path, an address and its parameters.
        note: why the rest of the window was not answered, where some of it was not.
        second_versions: what other tiers of the source say of bars that are stored by then, to be compared with them.
        resume: where a request that begins at the end of what is answered goes on.
    """

    bars: pl.DataFrame
    rejected: pl.DataFrame
    answered: tuple[Window, ...]
    origin: str
    note: str | None = None
    second_versions: tuple[SecondVersion, ...] = ()
    resume: Checkpoint | None = None


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

    def available_history(self, instrument: Instrument, timeframe: Timeframe) -> tuple[Window, ...]:
        """The disjoint windows this source can be asked for, in order; none if it has no bars of that length."""

    def bars(self, instrument: Instrument, timeframe: Timeframe, window: Window) -> BarResponse:
        """The bars of ``window``.

        Raises:
            SourceError: if nothing could be had; partial knowledge is an answer instead.
        """


class BrokerAccount(Protocol):
    """An account at a broker, to be read: nothing here can change anything there."""

    @property
    def name(self) -> str:
        """The broker, as its records name it: ``kraken``."""

    def balances(self) -> list[BrokerBalance]:
        """How much it has of each asset, by asset.

        Raises:
            SourceError: if it cannot be had.
        """

    def positions(self) -> list[BrokerPosition]:
        """What it holds, one a symbol, by symbol; none of quantity zero.

        Raises:
            SourceError: if it cannot be had.
        """

    def fills(self, start: datetime, end: datetime) -> list[BrokerFill]:
        """The fills executed in ``[start, end)``, each once, in the order they were executed.

        Raises:
            SourceError: if not all of them can be had.
        """


@dataclass(frozen=True)
class Effort:
    """What it will take to ask for some bars, as far as that can be told before.

    Attributes:
        requests: how many, about.
        seconds: how long they take, by the rate the source may be asked at.
    """

    requests: int
    seconds: float


@runtime_checkable
class PagedSource(Protocol):
    """A source that takes many requests to answer, and whose pieces are worth keeping each."""

    def bars_in_parts(
        self, instrument: Instrument, timeframe: Timeframe, window: Window, resume: Checkpoint | None
    ) -> Iterator[BarResponse]:
        """The bars of ``window`` as they come: disjoint answers, in order, each to be stored before the next is asked.

        Args:
            instrument: whose.
            timeframe: their length.
            window: which.
            resume: where the last request for such bars stopped; used if the window, or what is left of it
                to be asked for, begins there.

        Raises:
            SourceError: if the next piece could not be had; those before it stay answered.
        """

    def effort(self, instrument: Instrument, timeframe: Timeframe, window: Window) -> Effort:
        """What asking for ``window`` takes.

        Raises:
            SourceError: if that cannot be told.
        """


class ActionSource(Protocol):
    """Somebody who can be asked for splits and dividends."""

    @property
    def name(self) -> str:
        """What stands in the ``source`` column of its actions."""

    def actions(self, instrument: Instrument) -> list[CorporateAction]:
        """All that it knows of an instrument, sorted by date.

        Raises:
            SourceError: if nothing could be had.
        """
