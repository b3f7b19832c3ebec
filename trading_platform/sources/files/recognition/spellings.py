"""Vendors' spellings of instruments, translated to the platform's symbols.

Columns of symbols (:mod:`trading_platform.sources.files.recognition.several_instruments`) and names of files
(:mod:`trading_platform.sources.files.recognition.names`) use it.
"""

from __future__ import annotations

import re

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.instruments import (
    CRYPTO,
    CRYPTO_QUOTES,
    FIAT,
    METALS,
    AssetClass,
    check_symbol,
    guess_instrument,
)

QUOTES = FIAT | CRYPTO
"""Codes that a pair may be priced in, and that can follow its base in a name of its own."""

_KRAKEN_SPELLINGS = {"XBT": "BTC", "XDG": "DOGE"}
_KRAKEN_LONG = re.compile(r"X(?P<base>[A-Z]{3})[ZX](?P<quote>[A-Z]{3})")
_LONGEST_SYMBOL = 20
_PREFIXED = re.compile(r"[A-Z][A-Z0-9_]*:(?P<rest>.+)")
_TWO_PARTS = re.compile(r"(?P<base>[A-Z0-9]{1,12})(?P<mark>[/\-_ ])(?P<quote>[A-Z0-9]{1,6})")
_PERPETUAL = ("PERP", "SWAP")


def is_pair(symbol: str) -> bool:
    """Whether a symbol is a pair of known currencies, metals or coins."""
    if len(symbol) > _LONGEST_SYMBOL or not symbol.isascii() or not symbol.isalnum():
        return False
    return guess_instrument(symbol, "file").asset_class in (AssetClass.FX, AssetClass.CRYPTO)


def spelled(theirs: str) -> str | None:
    """The platform's symbol for a vendor's spelling of an instrument; None if it is not a spelling of one.

    ``ETH/USDT``, ``BTC-USD`` and ``EUR_USD`` are pairs, ``XBT`` is ``BTC``; ``BRK-B`` and ``BRK/B`` are ``BRK.B``;
    the exchange before a colon and the country of ``AAPL.US`` are left out, and so are the marks of ``^GSPC`` and
    ``EURUSD=X``. A future, a perpetual of two currencies and a name such as ``Apple Inc`` are not translated.
    """
    text = theirs.strip().upper().removesuffix("=X").removeprefix("^")
    if (prefixed := _PREFIXED.fullmatch(text)) and ":" not in prefixed["rest"]:
        text = prefixed["rest"]
    text = text.removesuffix(".US")
    if parts := _TWO_PARTS.fullmatch(text):
        return _joined(parts["base"], parts["mark"], parts["quote"])
    try:
        return _without_krakens_names(check_symbol(text))
    except InvalidRequest:
        return None


def _joined(base: str, mark: str, quote: str) -> str | None:
    pair = krakens(base + quote)
    if is_pair(pair):
        return pair
    if quote in _PERPETUAL:
        return f"{base}-{quote}"
    if len(quote) == 1 and quote.isalpha():  # a share class
        return f"{base}.{quote}"
    named = base[:1].isalpha() and mark == "/" and (quote in FIAT or quote in CRYPTO_QUOTES)
    return pair if named else None


def _without_krakens_names(symbol: str) -> str:
    return krakens(symbol) if symbol.isalnum() else symbol


def krakens(symbol: str) -> str:
    """A symbol without Kraken's own codes: ``XBTUSD`` is ``BTCUSD``, ``XXBTZUSD`` too; others are unchanged."""
    if (long := _KRAKEN_LONG.fullmatch(symbol)) and not is_pair(symbol):
        symbol = long["base"] + long["quote"]
    for theirs, ours in _KRAKEN_SPELLINGS.items():
        if symbol.startswith(theirs) and symbol[len(theirs) :] in QUOTES | METALS:
            symbol = ours + symbol[len(theirs) :]
        elif symbol.endswith(theirs) and len(symbol) > len(theirs) + 2:
            symbol = symbol[: -len(theirs)] + ours
    return symbol
