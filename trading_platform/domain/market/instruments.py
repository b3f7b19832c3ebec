"""Instruments of the universe, and the spelling of symbols.

The universe itself is configuration (``config.instruments``, see :mod:`trading_platform.stores.config.instruments`);
vendors' spellings are translated in :mod:`trading_platform.sources`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from trading_platform.domain.errors import InvalidRequest

_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9.\-]{0,19}")

FIAT = frozenset("USD EUR GBP JPY CHF CAD AUD NZD SEK NOK DKK PLN HUF CZK TRY MXN ZAR SGD HKD CNH".split())
"""ISO 4217 codes; a six-letter symbol of two of them is taken for a currency pair."""

CRYPTO = frozenset("BTC XBT ETH SOL ADA XRP DOT LTC DOGE AVAX LINK MATIC USDT USDC".split())
"""Base codes of crypto pairs, used to guess the asset class if it was not given."""

CRYPTO_QUOTES = frozenset({"BTC", "XBT", "ETH", "USDT", "USDC"})
"""Quote codes of crypto pairs only: any symbol that ends in one is a crypto pair."""


class AssetClass(StrEnum):
    """The kinds of instruments the platform distinguishes."""

    EQUITY = "equity"
    ETF = "etf"
    FX = "fx"
    CRYPTO = "crypto"
    INDEX = "index"


def check_symbol(text: str) -> str:
    """The symbol itself if it has the platform's spelling.

    Letters A–Z, digits, dot and dash, at most 20 characters, so that keys, paths and partition
    keys need no escaping.

    Raises:
        InvalidRequest: otherwise.
    """
    if not _SYMBOL.fullmatch(text):
        raise InvalidRequest(
            f"{text!r} is not a symbol.",
            expected="1 to 20 characters of A-Z, 0-9, dot and dash, beginning with a letter or digit",
            received=repr(text),
            remedy="spell it like AAPL, EURUSD, BTCUSD or BRK.B",
        )
    return text


@dataclass(frozen=True)
class Instrument:
    """One instrument of the universe.

    Attributes:
        symbol: the platform's spelling.
        asset_class: kind of instrument.
        calendar: ``24/7``, ``FX``, or an ISO 10383 code such as ``XNYS``
            (:mod:`trading_platform.domain.market.calendars`).
        source: source of its bars: ``file`` (imported files), ``kraken``, ``ibkr`` or ``yahoo``.
        sector: group for ``sector_momentum``; None means it has no peers.
        benchmark: symbol that represents the market in ``market_beta_60d``.
        tick_size: smallest price step, if known.
        fallback_sources: sources to request, in this order, if the source has no data or keeps failing.
    """

    symbol: str
    asset_class: AssetClass
    calendar: str
    source: str
    sector: str | None = None
    benchmark: str | None = None
    tick_size: Decimal | None = None
    fallback_sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_symbol(self.symbol)
        if self.benchmark is not None:
            check_symbol(self.benchmark)


def guess_instrument(symbol: str, source: str) -> Instrument:
    """An instrument guessed from its symbol: asset class and calendar.

    Six letters of two known currencies are FX; a known crypto code before a currency, or anything
    priced in crypto, is crypto; everything else is a US equity. ``trading-platform instruments add`` corrects
    a wrong guess.
    """
    check_symbol(symbol)
    if symbol[:3] in FIAT and symbol[3:] in FIAT:
        return Instrument(symbol, AssetClass.FX, "FX", source)
    for length in (3, 4):
        base, quote = symbol[:-length], symbol[-length:]
        if (base in CRYPTO and quote in FIAT) or (base and quote in CRYPTO_QUOTES):
            return Instrument(symbol, AssetClass.CRYPTO, "24/7", source)
    return Instrument(symbol, AssetClass.EQUITY, "XNYS", source)
