"""Symbols as models write them: ``BTC/USD``, ``XBTUSD``, ``brk-b``, ``NASDAQ:AAPL``; what was understood is said."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

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


class Universe:
    """The instruments of a platform, read again after some seconds, or when a symbol is not among them.

    Args:
        platform: the platform.
        timer: seconds that pass.
    """

    def __init__(self, platform: Platform, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._read_at = float("-inf")
        self._known: dict[str, Instrument] = {}
        self.read(platform)

    def read(self, platform: Platform) -> dict[str, Instrument]:
        """The instruments, as they are stored now."""
        self._known, self._read_at = platform.instruments(), self._timer()
        return self._known

    def recent(self, platform: Platform) -> dict[str, Instrument]:
        """The instruments, as they were stored at most :data:`FRESH` seconds ago."""
        return self.read(platform) if self._timer() - self._read_at > FRESH else self._known


FRESH = 2.0
"""For how many seconds the universe is not read again: a call for quotes then needs no query."""

_universes: WeakKeyDictionary[Platform, Universe] = WeakKeyDictionary()


def understand(platform: Platform, symbols: Sequence[str]) -> Understood:
    """The instruments that symbols in any spelling name.

    Raises:
        InvalidRequest: for too many symbols, none, or one that the universe does not have, with similar ones.
    """
    if not 1 <= len(symbols) <= MOST_SYMBOLS:
        raise InvalidRequest(
            "This number of symbols cannot be answered in one call.",
            expected=f"1 to {MOST_SYMBOLS} symbols",
            received=str(len(symbols)),
            remedy="name the symbols you need; instrument_info without symbols lists them",
        )
    universe = _universes.get(platform) or _universes.setdefault(platform, Universe(platform))
    known = universe.recent(platform)
    taken = {theirs: _taken_for(theirs, known) for theirs in symbols}
    if any(ours not in known for ours in taken.values()):
        known = universe.read(platform)
        taken = {theirs: _taken_for(theirs, known) for theirs in symbols}
    notes = tuple(f"{theirs} was taken for {ours}." for theirs, ours in taken.items() if theirs != ours)
    names = list(dict.fromkeys(taken.values()))
    if any(symbol not in known for symbol in names):
        return Understood(platform.instruments(names), notes)  # which names the unknown ones and what is near them
    return Understood({symbol: known[symbol] for symbol in names}, notes)


def _taken_for(theirs: str, known: dict[str, Instrument]) -> str:
    """The symbol of the universe that a spelling names; else the spelling in its usual form, which it does not have."""
    upper = theirs.strip().upper()
    candidates = (theirs, upper, spelled(theirs), upper.replace("-", "").replace("/", ""), upper.replace("-", "."))
    return next((each for each in candidates if each in known), None) or check_symbol(spelled(theirs) or upper)
