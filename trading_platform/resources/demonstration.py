"""The data directory of the demonstration: its prices are invented, so nobody but a local exchange is asked for more.

The demonstration marks its directory with a file. Where that is, every source but the files is replaced by one that
refuses requests, unless its address is on this machine, as that of the local exchange is.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NoReturn
from urllib.parse import urlsplit

from trading_platform.domain.errors import SourceRejected
from trading_platform.domain.market.checkpoints import Checkpoint
from trading_platform.domain.market.corporate_actions import CorporateAction
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Timeframe, Window
from trading_platform.settings import Settings
from trading_platform.sources.base import BarResponse, BarSource, Effort

PRESENT = "present.txt"
"""File in the demonstration's data directory: the time that its clock shows."""

_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})


def is_demonstration(settings: Settings) -> bool:
    """Whether the data directory belongs to the demonstration."""
    return (settings.root / PRESENT).exists()


def refuses(settings: Settings, address: str | None = None) -> bool:
    """Whether requests to an address, or to a vendor without one, are refused because the prices here are invented."""
    if not is_demonstration(settings):
        return False
    return address is None or urlsplit(address).hostname not in _LOCAL


def check_not_refused(settings: Settings, source: str, address: str | None = None) -> None:
    """Raises for a source that the demonstration's data directory refuses.

    Raises:
        SourceRejected: says why, and what to do.
    """
    if refuses(settings, address):
        raise _refused(source, address)


class RefusedSource:
    """A source of bars and actions that refuses every request, in the demonstration's data directory.

    Args:
        source: the source itself, which still says what it has.
        address: where it would ask; None if it has no address of its own.
    """

    def __init__(self, source: BarSource, address: str | None) -> None:
        self._source = source
        self._address = address

    @property
    def name(self) -> str:
        """The name of the source."""
        return self._source.name

    def longest_request(self, timeframe: Timeframe) -> timedelta:
        """That of the source."""
        return self._source.longest_request(timeframe)

    def available_history(self, instrument: Instrument, timeframe: Timeframe) -> tuple[Window, ...]:
        """That of the source."""
        return self._source.available_history(instrument, timeframe)

    def bars(self, instrument: Instrument, timeframe: Timeframe, window: Window) -> BarResponse:  # noqa: ARG002
        """Raises SourceRejected."""
        self._refuse()

    def bars_in_parts(
        self, instrument: Instrument, timeframe: Timeframe, window: Window, resume: Checkpoint | None
    ) -> Iterator[BarResponse]:
        """Raises SourceRejected."""
        self._refuse(instrument, timeframe, window, resume)

    def effort(self, instrument: Instrument, timeframe: Timeframe, window: Window) -> Effort:
        """Raises SourceRejected."""
        self._refuse(instrument, timeframe, window)

    def actions(self, instrument: Instrument) -> list[CorporateAction]:
        """Raises SourceRejected."""
        self._refuse(instrument)

    def close(self) -> None:
        """Closes the source."""
        close = getattr(self._source, "close", None)
        if close is not None:
            close()

    def _refuse(self, *_request: Any) -> NoReturn:
        raise _refused(self.name, self._address)


def _refused(source: str, address: str | None) -> SourceRejected:
    return SourceRejected(
        "This data directory belongs to the demonstration, whose markets are invented: no real one is asked.",
        expected="the demonstration's local exchange",
        received=f"{source} at {address}" if address else source,
        remedy="`make demo-ui` opens the UI with its exchange; for real data use another DATA_DIR",
    )
