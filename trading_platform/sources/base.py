"""The interfaces of bar sources and brokers, independent of the vendor.

A source parses to the domain and applies its rules. It stores nothing and does not decide what to
fetch; :mod:`trading_platform.workflows.backfill.backfill_bars` decides that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol, runtime_checkable

import polars as pl

from trading_platform.domain.market.checkpoints import Checkpoint
from trading_platform.domain.market.corporate_actions import CorporateAction
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Timeframe, Window
from trading_platform.domain.trading.broker import (
    BrokerBalance,
    BrokerFill,
    BrokerOrder,
    BrokerPosition,
    Settlement,
)

NEEDS_SETTING = {"ibkr": "IBKR_HOST"}
"""Names of the sources that need a setting to be available."""


@dataclass(frozen=True)
class SecondVersion:
    """A second version of bars, from another kind of archive of the source than the version in the response.

    Attributes:
        bars: frame of ``BAR_SCHEMA``, one symbol, sorted; only those that are stored are compared.
        kind: kind of archive, in words of the vendor.
        finer: whether this version is right where the two differ, as trades are where candles differ from them.
    """

    bars: pl.DataFrame
    kind: str
    finer: bool


@dataclass(frozen=True)
class BarResponse:
    """The response of a source for a window.

    Attributes:
        bars: frame of ``BAR_SCHEMA``, one symbol, sorted, only final bars inside the window.
        rejected: frame of ``REJECTED_SCHEMA``: rows that cannot be bars.
        answered: the parts of the window that the response covers; a slot in them without a bar is
            confirmed empty. The rest of the window is not covered.
        origin: the request, for the record: a path, an address and its parameters.
        note: why the rest of the window is not covered, if some of it is not.
        second_versions: versions from other kinds of archive of bars that are stored by then, to be compared with them.
        resume: where a request that begins at the end of the covered part continues.
    """

    bars: pl.DataFrame
    rejected: pl.DataFrame
    answered: tuple[Window, ...]
    origin: str
    note: str | None = None
    second_versions: tuple[SecondVersion, ...] = ()
    resume: Checkpoint | None = None


def is_recorded(source: BarSource) -> bool:
    """Whether a source reads from a record, such as imported files, so that another request returns the same."""
    return bool(getattr(source, "recorded", False))


class BarSource(Protocol):
    """A source of bars."""

    @property
    def name(self) -> str:
        """The value of the ``source`` column of its bars: ``kraken`` or ``file``."""

    def longest_request(self, timeframe: Timeframe) -> timedelta:
        """The longest window worth requesting at once; responses are committed at this grain."""

    def available_history(self, instrument: Instrument, timeframe: Timeframe) -> tuple[Window, ...]:
        """The disjoint windows that can be requested, in order; none if the source has no bars of that length."""

    def bars(self, instrument: Instrument, timeframe: Timeframe, window: Window) -> BarResponse:
        """The bars of ``window``.

        Raises:
            SourceError: if no bars are available; a partial result is returned as a response instead.
        """


class BrokerAccount(Protocol):
    """Read access to an account at a broker: nothing here can change anything there."""

    @property
    def name(self) -> str:
        """The name of the broker, as its records have it: ``kraken``."""

    def balances(self) -> list[BrokerBalance]:
        """The balance of each asset, by asset.

        Raises:
            SourceError: if they are not available.
        """

    def cash(self) -> list[BrokerBalance]:
        """The balances of money, by currency: those that are no positions.

        Raises:
            SourceRejected: if fills do not move them by quantity times price, as with open positions on margin.
            SourceError: if they are not available.
        """

    def settlement(self, instrument: Instrument) -> Settlement:
        """What a fill of an instrument moves of :meth:`positions` and :meth:`cash`.

        Raises:
            SourceError: if that is not known.
        """

    def open_orders(self) -> list[BrokerOrder]:
        """The orders that can still be filled, by id.

        Raises:
            SourceRejected: if the broker does not show them to this login.
            SourceError: if they are not available.
        """

    def positions(self) -> list[BrokerPosition]:
        """The positions, one per symbol, by symbol; none of quantity zero.

        Raises:
            SourceError: if they are not available.
        """

    def today(self) -> date:
        """The present day, as this broker counts days."""

    def day(self, day: date, since: datetime | None) -> Window:
        """The time of a day's fills at this broker.

        Args:
            day: the day.
            since: fills before were compared; None if that is not known. The day begins there if it would begin later,
                where the broker still has the fills between.
        """

    def fills(self, start: datetime, end: datetime) -> list[BrokerFill]:
        """The fills executed in ``[start, end)``, each once, in the order they were executed.

        Raises:
            SourceError: if not all of them are available.
        """


@dataclass(frozen=True)
class Effort:
    """An estimate of what a request for bars takes.

    Attributes:
        requests: approximate number of requests.
        seconds: their duration, at the rate the source permits.
    """

    requests: int
    seconds: float


@runtime_checkable
class PagedSource(Protocol):
    """A source that needs many requests for a window, and returns pages that are worth storing one by one."""

    def bars_in_parts(
        self, instrument: Instrument, timeframe: Timeframe, window: Window, resume: Checkpoint | None
    ) -> Iterator[BarResponse]:
        """The bars of ``window`` page by page: disjoint responses, in order, each stored before the next is requested.

        Args:
            instrument: instrument of the bars.
            timeframe: length of the bars.
            window: requested window.
            resume: where the last request for such bars stopped; used if the window, or the rest of it
                that is requested, begins there.

        Raises:
            SourceError: if the next page is not available; the pages before it remain valid.
        """

    def effort(self, instrument: Instrument, timeframe: Timeframe, window: Window) -> Effort:
        """An estimate of the requests for ``window``.

        Raises:
            SourceError: if it cannot be estimated.
        """


class ActionSource(Protocol):
    """A source of splits and dividends."""

    @property
    def name(self) -> str:
        """The value of the ``source`` column of its actions."""

    def actions(self, instrument: Instrument) -> list[CorporateAction]:
        """All known actions of an instrument, sorted by date.

        Raises:
            SourceError: if they are not available.
        """
