"""Symbols as models write them: ``BTC/USD``, ``XBTUSD``, ``brk-b``, ``NASDAQ:AAPL``; what was understood is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
    known = platform.instruments()
    taken = {theirs: _taken_for(theirs, known) for theirs in symbols}
    notes = tuple(f"{theirs} was taken for {ours}." for theirs, ours in taken.items() if theirs != ours)
    return Understood(platform.instruments(list(dict.fromkeys(taken.values()))), notes)


def _taken_for(theirs: str, known: dict[str, Instrument]) -> str:
    """The symbol of the universe that a spelling names; else the spelling in its usual form, which it does not have."""
    upper = theirs.strip().upper()
    candidates = (theirs, upper, spelled(theirs), upper.replace("-", "").replace("/", ""), upper.replace("-", "."))
    return next((each for each in candidates if each in known), None) or check_symbol(spelled(theirs) or upper)
