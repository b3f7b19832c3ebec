"""Patterns of vendors' file names: what of a name is the symbol, and what it says about the market.

:mod:`trading_platform.sources.files.recognition.names` tries them before it reads a name word by word.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from trading_platform.domain.market.instruments import FIAT, METALS, AssetClass, evident_instrument
from trading_platform.domain.time import Timeframe
from trading_platform.sources.files.recognition.spellings import is_pair, krakens, spelled

EXCHANGES: dict[str, tuple[AssetClass, str]] = {
    **dict.fromkeys(
        ("NASDAQ", "NYSE", "AMEX", "ARCA", "NYSEARCA", "NYSE_ARCA", "BATS", "OTC"), (AssetClass.EQUITY, "XNYS")
    ),
    **dict.fromkeys(("XETR", "XETRA"), (AssetClass.EQUITY, "XETR")),
    **dict.fromkeys(("LSE", "LSIN"), (AssetClass.EQUITY, "XLON")),
    **dict.fromkeys(("TSE", "TYO"), (AssetClass.EQUITY, "XTKS")),
    "FWB": (AssetClass.EQUITY, "XFRA"),
    "SIX": (AssetClass.EQUITY, "XSWX"),
    "BME": (AssetClass.EQUITY, "XMAD"),
    "HKEX": (AssetClass.EQUITY, "XHKG"),
    "SSE": (AssetClass.EQUITY, "XSHG"),
    "SZSE": (AssetClass.EQUITY, "XSHG"),
    "NSE": (AssetClass.EQUITY, "XBOM"),
    "BSE": (AssetClass.EQUITY, "XBOM"),
    "KRX": (AssetClass.EQUITY, "XKRX"),
    "TSX": (AssetClass.EQUITY, "XTSE"),
    "TSXV": (AssetClass.EQUITY, "XTSE"),
    "ASX": (AssetClass.EQUITY, "XASX"),
    "MIL": (AssetClass.EQUITY, "XMIL"),
    "TWSE": (AssetClass.EQUITY, "XTAI"),
    "SGX": (AssetClass.EQUITY, "XSES"),
    "SP": (AssetClass.INDEX, "XNYS"),
    "DJ": (AssetClass.INDEX, "XNYS"),
    **dict.fromkeys(("FX", "FX_IDC", "OANDA", "FOREXCOM", "FXCM", "SAXO", "ICMARKETS"), (AssetClass.FX, "FX")),
    **dict.fromkeys(
        "BINANCE BINANCEUS COINBASE KRAKEN BITSTAMP BITFINEX BYBIT OKX OKEX GEMINI KUCOIN HUOBI HTX GATEIO GATE MEXC "
        "BITGET BITTREX POLONIEX CRYPTOCOM CRYPTO BITMEX DERIBIT UPBIT".split(),
        (AssetClass.CRYPTO, "24/7"),
    ),
}
"""Exchanges in names and before colons, with the asset class and the calendar of what trades there."""

_NO_MARKET = frozenset("TVC INDEX EURONEXT CAPITALCOM PEPPERSTONE SKILLING CBOE CME CME_MINI COMEX NYMEX CBOT".split())
"""Exchanges and vendors in names whose instruments have no single class and calendar."""

EXCHANGE_WORDS = frozenset(EXCHANGES) | _NO_MARKET
"""Words of names that are exchanges, and hardly symbols."""

_TRADINGVIEW = re.compile(
    r"^(?P<exchange>[A-Z][A-Z0-9_]*?)_(?P<symbol>[A-Z0-9.!&\-]+), (?P<interval>\d*[SDWM]?)(?:[ _].*)?$"
)
_HISTDATA = re.compile(r"^(?:HISTDATA_COM_)?DAT_[A-Z]+_(?P<symbol>[A-Z]{6})_(?P<interval>M1|T)(?:_|$)")
_INVESTING = re.compile(r"^(?P<symbol>.+?) Historical Data(?: ?\(\d+\))?$", re.IGNORECASE)
_CRYPTODATADOWNLOAD = re.compile(
    r"^(?P<exchange>[A-Za-z]+)_(?P<symbol>[A-Z0-9]{4,14})_(?:\d{4}_)?(?P<interval>d|1d|day|1h|1hr|hour|minute|1min|1m)$"
)
_STOOQ = re.compile(r"^(?P<symbol>[a-z0-9\-]+)[._](?P<country>us|uk|de|jp|hk|hu|pl)(?:_(?P<interval>[dwm]))?$")
_STOOQ_OTHER = re.compile(r"^(?P<symbol>\^?[a-z0-9]+)_(?P<interval>[dwm])$")
_DUKASCOPY = re.compile(r"^(?P<symbol>[A-Z0-9.]+)_(?:Candlestick_(?P<interval>\d+_[A-Za-z]+)|Ticks)_")
_METATRADER = re.compile(
    r"^(?P<symbol>[A-Za-z0-9.#\-]+?)_(?P<interval>M\d+|H\d+|Daily|Weekly|Monthly)_\d{8,12}_\d{8,12}$"
)
_FREQTRADE_FUTURES = re.compile(r"^(?P<symbol>[A-Z0-9]+_[A-Z0-9]+_[A-Z0-9]+)-\w+-(?:futures|mark|funding_rate)$")
_NINJATRADER = re.compile(r"^(?P<symbol>[A-Z0-9]{1,4}) (?P<expiry>\d{2}-\d{2})(?:\..*)?$")
_DELIVERY = re.compile(r"^(?P<base>[A-Z0-9]+)(?P<quote>USDT?)_(?P<expiry>\d{6})(?:[-_].*)?$")
_FUTURES = re.compile(
    r"^(?P<symbol>[A-Z0-9]+)[_\- ](?:.*[_\- ])?(?:continuous|cont|futures?|fut)(?:[_\- ].*)?$", re.IGNORECASE
)
_NUMBERED = re.compile(r"^(?P<number>\d{3,6})[_\-](?P<country>[A-Z]{1,2})(?:[_\- ].*)?$")

_INTERVALS = {
    **dict.fromkeys(("1", "1m", "1min", "minute", "M1", "1_M", "1_m"), Timeframe.M1),
    **dict.fromkeys(("5", "5m", "M5", "5_M", "5_m"), Timeframe.M5),
    **dict.fromkeys(("60", "1h", "1hr", "hour", "H1", "1_h", "1_H"), Timeframe.H1),
    **dict.fromkeys(("1D", "D", "d", "1d", "day", "Daily", "1_D", "1_d"), Timeframe.D1),
}


@dataclass(frozen=True)
class VendorName:
    """What a vendor's file name says.

    Attributes:
        vendor: the vendor, in words.
        symbol: the platform's symbol, None if the name may mean several.
        candidates: what it may mean, if so.
        timeframe: the length of the bars, None if the name does not have it.
        market: asset class and calendar, None if the name does not say them.
    """

    vendor: str
    symbol: str | None
    candidates: tuple[str, ...] = ()
    timeframe: Timeframe | None = None
    market: tuple[AssetClass, str] | None = None


def vendor_name(stem: str) -> VendorName | None:
    """What a file's name says if it has the form of a known vendor's, else None.

    Args:
        stem: the name without folders and endings.
    """
    for form, read in _FORMS:
        if (found := form.match(stem)) and (name := read(found)):
            return name
    return None


def _interval(found: re.Match[str]) -> Timeframe | None:
    return _INTERVALS.get(found["interval"] or "")


def _tradingview(found: re.Match[str]) -> VendorName:
    exchange, text = found["exchange"], found["symbol"]
    whole = f"{exchange}_{text}"
    for known in sorted(EXCHANGE_WORDS, key=len, reverse=True):
        if whole.startswith(f"{known}_"):
            exchange, text = known, whole.removeprefix(f"{known}_")
            break
    symbol = spelled(text)
    if symbol is None or "_" in text:
        return VendorName("TradingView", None, (text,), _interval(found))
    return VendorName("TradingView", symbol, timeframe=_interval(found), market=EXCHANGES.get(exchange))


def _histdata(found: re.Match[str]) -> VendorName:
    market = (AssetClass.FX if is_pair(found["symbol"]) else AssetClass.INDEX, "FX")
    return VendorName("HistData", found["symbol"], timeframe=_interval(found), market=market)


def _investing(found: re.Match[str]) -> VendorName | None:
    text = found["symbol"].strip()
    words = text.split()
    symbol = spelled(words[0]) if words and words[0] == words[0].upper() else None
    if symbol is None or (len(words) > 1 and not is_pair(symbol)):
        return VendorName("Investing.com", None, (text,))
    return VendorName("Investing.com", symbol)


def _cryptodatadownload(found: re.Match[str]) -> VendorName | None:
    market = EXCHANGES.get(found["exchange"].upper())
    if market is None or market[0] is not AssetClass.CRYPTO:
        return None
    return VendorName("CryptoDataDownload", krakens(found["symbol"]), timeframe=_interval(found), market=market)


def _stooq(found: re.Match[str]) -> VendorName | None:
    symbol = spelled(f"{found['symbol']}.{found['country']}")
    return VendorName("Stooq", symbol, timeframe=_interval(found)) if symbol else None


def _stooq_other(found: re.Match[str]) -> VendorName | None:
    """Stooq's downloads of currencies and indexes: ``eurusd_d``, ``^spx_d``; other small letters are words."""
    text = found["symbol"].upper()
    if not text.startswith("^") and not is_pair(text):
        return None
    return VendorName("Stooq", spelled(text), timeframe=_interval(found))


def _dukascopy(found: re.Match[str]) -> VendorName | None:
    text = found["symbol"].removesuffix("USD") if re.fullmatch(r"[A-Z]+\.USUSD", found["symbol"]) else found["symbol"]
    symbol = spelled(text)
    if symbol is None or (symbol == text and not is_pair(symbol)):
        return VendorName("Dukascopy", None, (text,), _interval(found))
    return VendorName("Dukascopy", symbol, timeframe=_interval(found))


def _metatrader(found: re.Match[str]) -> VendorName | None:
    """MetaTrader's exports; brokers add letters of their own to symbols: ``EURUSDm``, ``EURUSD.r``, ``#AAPL``."""
    text = found["symbol"].lstrip("#")
    pair = re.match(r"[A-Z]{6}", text)
    if pair and is_pair(pair[0]):
        return VendorName("MetaTrader", pair[0], timeframe=_interval(found))
    symbol = spelled(text) if text == text.upper() else None
    return VendorName("MetaTrader", symbol, () if symbol else (text,), _interval(found))


def _freqtrade_futures(found: re.Match[str]) -> VendorName:
    base, quote, _ = found["symbol"].split("_")
    return VendorName("freqtrade", None, (f"{base}{quote}-PERP", f"{base}{quote}"))


def _future(found: re.Match[str]) -> VendorName:
    """A future, whose root may be a share's symbol, too: ``NQ 03-24.Last``, ``CL_continuous_1min``."""
    return VendorName("futures", None, (found["symbol"].upper(),))


def _delivery(found: re.Match[str]) -> VendorName | None:
    """Binance's futures with a day of delivery, ``ETHUSDT_240329``; currencies have files of a day of such names."""
    if found["base"] in FIAT | METALS:
        return None
    return VendorName("Binance", None, (found["base"] + found["quote"],))


def _numbered(found: re.Match[str]) -> VendorName:
    """A number of a share with its country after an underscore: ``7203_T``."""
    symbol = f"{found['number']}.{found['country']}"
    known = evident_instrument(symbol, "file") is not None
    return VendorName("number and country", symbol if known else None, () if known else (symbol,))


_FORMS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], VendorName | None]], ...] = (
    (_TRADINGVIEW, _tradingview),
    (_HISTDATA, _histdata),
    (_INVESTING, _investing),
    (_CRYPTODATADOWNLOAD, _cryptodatadownload),
    (_FREQTRADE_FUTURES, _freqtrade_futures),
    (_DUKASCOPY, _dukascopy),
    (_METATRADER, _metatrader),
    (_STOOQ, _stooq),
    (_STOOQ_OTHER, _stooq_other),
    (_NINJATRADER, _future),
    (_DELIVERY, _delivery),
    (_NUMBERED, _numbered),
    (_FUTURES, _future),
)
