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
from trading_platform.domain.texts import shown

_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9.\-]{0,19}")

FIAT = frozenset("USD EUR GBP JPY CHF CAD AUD NZD SEK NOK DKK PLN HUF CZK TRY MXN ZAR SGD HKD CNH".split())
"""ISO 4217 codes; a six-letter symbol of two of them is taken for a currency pair."""

METALS = frozenset("XAU XAG XPT XPD".split())
"""ISO 4217 codes of gold, silver, platinum and palladium, which are traded like currencies."""

CRYPTO = frozenset("BTC XBT ETH SOL ADA XRP DOT LTC DOGE AVAX LINK MATIC USDT USDC".split())
"""Base codes of crypto pairs, used to guess the asset class if it was not given."""

CRYPTO_QUOTES = frozenset({"BTC", "XBT", "ETH", "USDT", "USDC"})
"""Quote codes of crypto pairs only: any symbol that ends in one is a crypto pair."""

_INDEXES = {
    **dict.fromkeys("SPX GSPC SP500 DJI NDX IXIC COMP RUT VIX NYA OEX DXY".split(), "XNYS"),
    "GDAXI": "XETR",
    "DAX": "XETR",
    "FTSE": "XLON",
    "UKX": "XLON",
    "FCHI": "XPAR",
    "N225": "XTKS",
    "NI225": "XTKS",
    "HSI": "XHKG",
    "STOXX50E": "XETR",
    "SSMI": "XSWX",
    "AXJO": "XASX",
    "KS11": "XKRX",
    "BVSP": "BVMF",
}
"""The usual symbols of stock indexes, with the calendar of their exchange."""

_EXCHANGE_SUFFIXES = {
    "T": "XTKS",
    "HK": "XHKG",
    "SS": "XSHG",
    "SH": "XSHG",
    "SZ": "XSHG",
    "KS": "XKRX",
    "KQ": "XKRX",
    "TW": "XTAI",
    "L": "XLON",
    "DE": "XETR",
    "F": "XFRA",
    "PA": "XPAR",
    "AS": "XAMS",
    "BR": "XBRU",
    "MI": "XMIL",
    "MC": "XMAD",
    "SW": "XSWX",
    "ST": "XSTO",
    "HE": "XHEL",
    "CO": "XCSE",
    "OL": "XOSL",
    "VI": "XWBO",
    "LS": "XLIS",
    "IR": "XDUB",
    "TO": "XTSE",
    "AX": "XASX",
    "NZ": "XNZE",
    "SI": "XSES",
    "NS": "XBOM",
    "BO": "XBOM",
    "SA": "BVMF",
    "MX": "XMEX",
    "UK": "XLON",
    "JP": "XTKS",
    "PL": "XWAR",
    "WA": "XWAR",
    "HU": "XBUD",
    "JO": "XJSE",
    "IS": "XIST",
    "JK": "XIDX",
}
"""The exchange after a symbol's dot, as Yahoo, Stooq and most others write it. Shenzhen and the National Stock
Exchange of India have the sessions of Shanghai and Bombay."""

_EXCHANGE_BEFORE_NUMBER = {"TYO": "XTKS", "HKG": "XHKG", "SHA": "XSHG", "SHE": "XSHG", "KRX": "XKRX", "TPE": "XTAI"}
_PERPETUAL = re.compile(r"([A-Z0-9]+)[\-.](PERP|SWAP|P)")
_NUMBERED = re.compile(r"([A-Z]{3})\d{4,6}")
_US_TICKER = re.compile(r"[A-Z]{1,5}(\.[A-Z])?")


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
    if not isinstance(text, str) or not _SYMBOL.fullmatch(text):
        raise InvalidRequest(
            f"{shown(text)} is not a symbol.",
            expected="1 to 20 characters of A-Z, 0-9, dot and dash, beginning with a letter or digit",
            received=shown(text),
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
        lot_size: smallest step of an order's quantity, if known.
    """

    symbol: str
    asset_class: AssetClass
    calendar: str
    source: str
    sector: str | None = None
    benchmark: str | None = None
    tick_size: Decimal | None = None
    fallback_sources: tuple[str, ...] = ()
    lot_size: Decimal | None = None

    def __post_init__(self) -> None:
        check_symbol(self.symbol)
        if self.benchmark is not None:
            check_symbol(self.benchmark)


def guess_instrument(symbol: str, source: str) -> Instrument:
    """An instrument guessed from its symbol: asset class and calendar.

    Six letters of two known currencies or a metal are FX; a known crypto code before a currency, anything
    priced in crypto, and a perpetual (``BTC-PERP``) is crypto; the usual symbols of indexes are indexes; an exchange
    after the dot (``7203.T``) gives its calendar; everything else is a US equity. ``trading-platform instruments add``
    corrects a wrong guess.
    """
    return evident_instrument(symbol, source) or Instrument(symbol, AssetClass.EQUITY, "XNYS", source)


def evident_instrument(symbol: str, source: str) -> Instrument | None:
    """The instrument that a symbol itself names, None if the symbol may be anything.

    One to five letters, with a share class or without, name nothing; they are merely usual for US equities
    (:func:`is_like_us_ticker`).
    """
    check_symbol(symbol)
    if _is_fx(symbol):
        return Instrument(symbol, AssetClass.FX, "FX", source)
    if _is_crypto(symbol):
        return Instrument(symbol, AssetClass.CRYPTO, "24/7", source)
    if symbol in _INDEXES:
        return Instrument(symbol, AssetClass.INDEX, _INDEXES[symbol], source)
    base, _, suffix = symbol.rpartition(".")
    if base and suffix in _EXCHANGE_SUFFIXES:
        return Instrument(symbol, AssetClass.EQUITY, _EXCHANGE_SUFFIXES[suffix], source)
    if (numbered := _NUMBERED.fullmatch(symbol)) and numbered[1] in _EXCHANGE_BEFORE_NUMBER:
        return Instrument(symbol, AssetClass.EQUITY, _EXCHANGE_BEFORE_NUMBER[numbered[1]], source)
    return None


def is_like_us_ticker(symbol: str) -> bool:
    """Whether a symbol has the form of a US equity's: one to five letters, or with a share class such as ``BRK.B``.

    Codes of currencies, metals and coins have it, too, and may be either.
    """
    return _US_TICKER.fullmatch(symbol) is not None and symbol not in FIAT | METALS | CRYPTO | {"INDEX"}


def _is_fx(symbol: str) -> bool:
    base, quote = symbol[:3], symbol[3:]
    return (base in FIAT | METALS and quote in FIAT) or (base in FIAT and quote in METALS)


def _is_crypto(symbol: str) -> bool:
    if perpetual := _PERPETUAL.fullmatch(symbol):
        return perpetual[1] in CRYPTO or _is_crypto(perpetual[1])
    pairs = ((symbol[:-length], symbol[-length:]) for length in (3, 4))
    return any((base in CRYPTO and quote in FIAT) or (bool(base) and quote in CRYPTO_QUOTES) for base, quote in pairs)
