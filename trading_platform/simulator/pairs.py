"""The pairs the local exchange lists, and Kraken's several spellings of each.

:mod:`trading_platform.sources.kraken.pairs` is the platform's own translation of these spellings;
the two share no code, so that one can test the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

LOT_DECIMALS = 8
"""Kraken counts quantities of every pair in units of 1e-8."""


@dataclass(frozen=True)
class Pair:
    """One listed pair.

    Attributes:
        symbol: the platform's spelling: ``BTCUSD``.
        name: Kraken's own name, the key of its responses: ``XXBTZUSD``.
        wsname: ``XBT/USD``.
        base: Kraken's asset code, with its X on old assets: ``XXBT``.
        quote: likewise: ``ZUSD``.
        price_decimals: decimals of a price; the tick is one unit of the last of them.
        order_minimum: smallest order, in units of the base.
        price: approximate price, the level around which a seeded market moves.
        daily_volatility: standard deviation of a day's logarithmic return in a seeded market.
        beta: share of the common market movement in its movement.
    """

    symbol: str
    name: str
    wsname: str
    base: str
    quote: str
    price_decimals: int
    order_minimum: str = "0.0001"
    price: float = 100.0
    daily_volatility: float = 0.03
    beta: float = 0.8

    @property
    def altname(self) -> str:
        """Kraken's short name: ``XBTUSD``."""
        return self.wsname.replace("/", "")

    @property
    def display_name(self) -> str:
        """The readable name of ``assetVersion=1``: ``BTC/USD``."""
        return self.wsname.replace("XBT/", "BTC/").replace("XDG/", "DOGE/")

    @property
    def spellings(self) -> frozenset[str]:
        """All spellings that Kraken accepts for this pair."""
        display = self.display_name
        return frozenset({self.name, self.altname, self.wsname, display, display.replace("/", ""), self.symbol})

    @property
    def tick_size(self) -> str:
        """The smallest price step, as text."""
        return units_text(1, self.price_decimals)


DEFAULT_PAIRS: tuple[Pair, ...] = (
    Pair("BTCUSD", "XXBTZUSD", "XBT/USD", "XXBT", "ZUSD", 1, "0.00005", 95_000.0, 0.024, 0.85),
    Pair("ETHUSD", "XETHZUSD", "ETH/USD", "XETH", "ZUSD", 2, "0.001", 3_200.0, 0.034, 0.85),
    Pair("SOLUSD", "SOLUSD", "SOL/USD", "SOL", "ZUSD", 2, "0.02", 150.0, 0.045, 0.8),
    Pair("ADAUSD", "ADAUSD", "ADA/USD", "ADA", "ZUSD", 6, "4.4", 0.55, 0.042, 0.75),
    Pair("XRPUSD", "XXRPZUSD", "XRP/USD", "XXRP", "ZUSD", 5, "1.65", 1.9, 0.043, 0.7),
    Pair("DOTUSD", "DOTUSD", "DOT/USD", "DOT", "ZUSD", 4, "0.8", 4.4, 0.045, 0.75),
)
"""The six instruments of the demo. Names, ticks and lots are Kraken's; prices and volatilities are
plausible and not real."""


def find_pair(pairs: Iterable[Pair], spelling: str) -> Pair | None:
    """The pair of any of Kraken's spellings, or None."""
    wanted = spelling.strip().upper()
    return next((pair for pair in pairs if wanted in pair.spellings), None)


def units_text(units: int, decimals: int, at_least: int = 0) -> str:
    """A count of smallest units as a decimal number.

    Args:
        units: how many units of ``10**-decimals``.
        decimals: number of decimals.
        at_least: minimum number of decimals, filled with zeros.
    """
    digits = f"{units:0{decimals + 1}d}"
    whole, fraction = (digits[:-decimals], digits[-decimals:]) if decimals else (digits, "")
    fraction = fraction.ljust(at_least, "0")
    return f"{whole}.{fraction}" if fraction else whole
