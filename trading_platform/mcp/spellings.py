"""Symbols as models write them: ``BTC/USD``, ``XBTUSD``, ``brk-b``, ``NASDAQ:AAPL``; what was understood is said."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary, ref

from trading_platform.client import Platform
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.instruments import Instrument, check_symbol
from trading_platform.sources.files.recognition.spellings import spelled

MOST_SYMBOLS = 100
"""Symbols of one call."""


@dataclass(frozen=True)
class Understood:
    """The instruments that symbols name.

    Attributes:
        instruments: the instruments, by symbol, in the order asked for.
        notes: what other spellings were taken for.
    """

    instruments: dict[str, Instrument]
    notes: tuple[str, ...]

    @property
    def symbols(self) -> list[str]:
        """The platform's symbols."""
        return list(self.instruments)


FRESH = 2.0
"""For how many seconds the universe is not read again: a call for quotes then needs no query."""


class Universe:
    """The instruments of a platform, read again after some seconds, or when a symbol is not among them.

    Args:
        platform: the platform.
        timer: seconds that pass.
    """

    def __init__(self, platform: Platform, timer: Callable[[], float] = time.monotonic) -> None:
        self._platform = ref(platform)
        self._timer = timer
        self._reading = threading.Lock()
        self._read_at = float("-inf")
        self._known: dict[str, Instrument] = {}

    @property
    def fresh(self) -> bool:
        """Whether the instruments were read less than :data:`FRESH` seconds ago."""
        return self._timer() - self._read_at <= FRESH

    @property
    def known(self) -> dict[str, Instrument]:
        """The instruments that were read last."""
        return self._known

    def read(self) -> dict[str, Instrument]:
        """The instruments, as they are stored now."""
        asked_at = self._timer()
        with self._reading:  # who waited for another's read, that began after the question, needs none
            platform = self._platform()
            if self._read_at < asked_at and platform is not None:
                began = self._timer()
                self._known, self._read_at = platform.instruments(), began
        return self._known


_universes: WeakKeyDictionary[Platform, Universe] = WeakKeyDictionary()


def understand(platform: Platform, symbols: Sequence[str]) -> Understood:
    """The instruments that symbols in any spelling name.

    Raises:
        InvalidRequest: for too many symbols, none, or one that the universe does not have, with similar ones.
    """
    _check_number(symbols)
    universe = _universe(platform)
    understood = _understood(symbols, universe.known) if universe.fresh else None
    understood = understood or _understood(symbols, universe.read())
    if understood is None:  # the platform names the unknown symbols and what is near them
        return Understood(platform.instruments(list(_taken(symbols, universe.known).values())), ())
    return understood


async def understand_soon(platform: Platform, symbols: Sequence[str]) -> Understood:
    """As :func:`understand`, in an event loop: without a thread if no query is needed."""
    _check_number(symbols)
    universe = _universe(platform)
    understood = _understood(symbols, universe.known) if universe.fresh else None
    return understood if understood is not None else await asyncio.to_thread(understand, platform, symbols)


def _universe(platform: Platform) -> Universe:
    return _universes.get(platform) or _universes.setdefault(platform, Universe(platform))


def _check_number(symbols: Sequence[str]) -> None:
    if not 1 <= len(symbols) <= MOST_SYMBOLS:
        raise InvalidRequest(
            "This number of symbols cannot be answered in one call.",
            expected=f"1 to {MOST_SYMBOLS} symbols",
            received=str(len(symbols)),
            remedy="name the symbols you need; instrument_info without symbols lists them",
        )


def _understood(symbols: Sequence[str], known: Mapping[str, Instrument]) -> Understood | None:
    """The instruments that symbols name; None if one is not known."""
    taken = _taken(symbols, known)
    if any(ours not in known for ours in taken.values()):
        return None
    notes = tuple(f"{theirs} was taken for {ours}." for theirs, ours in taken.items() if theirs != ours)
    return Understood({ours: known[ours] for ours in taken.values()}, notes)


def _taken(symbols: Sequence[str], known: Mapping[str, Instrument]) -> dict[str, str]:
    return {theirs: theirs if theirs in known else _taken_for(theirs, known) for theirs in symbols}


def _taken_for(theirs: str, known: Mapping[str, Instrument]) -> str:
    """The symbol of the universe that a spelling names; else the spelling in its usual form, which it does not have."""
    upper = theirs.strip().upper()
    candidates = (upper, spelled(theirs), upper.replace("-", "").replace("/", ""), upper.replace("-", "."))
    return next((each for each in candidates if each in known), None) or check_symbol(spelled(theirs) or upper)
