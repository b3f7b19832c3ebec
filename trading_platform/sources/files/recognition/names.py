"""Information in a file's name: symbol, timeframe, and LEAN's and Kraken's own conventions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import pairwise
from pathlib import PurePath

from trading_platform.domain.time import Timeframe
from trading_platform.sources.files.recognition.spellings import QUOTES, is_pair, krakens, spelled
from trading_platform.sources.files.recognition.vendor_names import EXCHANGE_WORDS, VendorName, vendor_name

_SUFFIXES = re.compile(r"\.(csv|txt|tsv|json|feather|ipc|arrow|parquet|pq|gz|zip)(?=\.|$)", re.IGNORECASE)
_LEAN_DAY = re.compile(r"^(?P<day>\d{8})_(?P<symbol>[a-z0-9.]+)_", re.IGNORECASE)
_KRAKEN = re.compile(r"^(?P<pair>[A-Z0-9]{5,12})(?:_(?P<minutes>\d{1,5}))?$")
_TIMEFRAMES = {
    **dict.fromkeys(("1m", "m1", "1min", "minute"), Timeframe.M1),
    **dict.fromkeys(("5m", "m5", "5min"), Timeframe.M5),
    **dict.fromkeys(("1h", "h1", "60m", "60min", "hour", "hourly"), Timeframe.H1),
    **dict.fromkeys(("1d", "d1", "1day", "day", "daily"), Timeframe.D1),
}
_KRAKEN_MINUTES = {"1": Timeframe.M1, "5": Timeframe.M5, "60": Timeframe.H1, "1440": Timeframe.D1}
_SYMBOL_WORD = re.compile(r"[A-Z][A-Z0-9]{0,14}(?:\.[A-Z]{1,2})?|\d{3,6}\.[A-Z]{1,2}")
_NOT_SYMBOLS = frozenset(
    "OHLC OHLCV OHLCVT CSV TXT DATA BID ASK MID LAST UTC GMT EST EDT CET RTH DAT ASCII MT MT4 MT5 NT TICK TICKS TRADES "
    "QUOTES ALL FULL RAW ADJ ADJUSTED HIST HISTORY HISTORICAL PRICE PRICES DAILY HOURLY MINUTE CANDLES BARS CHART "
    "STOCK STOCKS ETF ETFS FOREX CRYPTO EQUITY SPOT YAHOO STOOQ TIINGO POLYGON ALPACA EODHD PERP SWAP".split()
)
"""Words in capital letters that are no symbols."""

_MINUTES = re.compile(r"(?:M|H|D|W|MN|MIN)\d{1,4}")
_LENGTH_LETTERS = frozenset("DWMHST")
_SHARE_CLASSES = frozenset("ABCK")
_PERPETUAL = frozenset(("PERP", "SWAP"))
_BETWEEN = re.compile(r"([_\s,()\-]+)")


class _Ambiguous(tuple[str, ...]):
    """Symbols that a name may mean, even if it is one: ``NASDAQ`` is an exchange, too."""

    __slots__ = ()


@dataclass(frozen=True)
class FileName:
    """The names of a content: its own, and that of the archive around it.

    Attributes:
        names: paths, the most specific first.
    """

    names: tuple[str, ...]

    @cached_property
    def stem(self) -> str:
        """The first name without folders and endings."""
        return _stem(self.names[0])

    @cached_property
    def near_words(self) -> frozenset[str]:
        """The lower-case words of the file names alone, without folders."""
        return frozenset(part.lower() for name in self.names for part in _tokens(_stem(name)))

    @cached_property
    def lean_day(self) -> date | None:
        """The day of a LEAN file such as ``20131004_spy_minute_trade.csv``, else None."""
        found = _LEAN_DAY.match(self.stem)
        if found is None or not self.near_words & {"trade", "quote"}:
            return None
        text = found["day"]
        try:
            return date(int(text[:4]), int(text[4:6]), int(text[6:]))
        except ValueError:
            return None

    @cached_property
    def timeframe(self) -> Timeframe | None:
        """The timeframe in the name, if there is one."""
        if self.vendor and self.vendor.timeframe:
            return self.vendor.timeframe
        if kraken := self._kraken:
            return _KRAKEN_MINUTES.get(kraken["minutes"] or "")
        named = {_TIMEFRAMES[word] for word in self.near_words if word in _TIMEFRAMES}
        return named.pop() if len(named) == 1 else None

    @cached_property
    def kraken_minutes(self) -> int | None:
        """The interval in a name of Kraken's bulk files (``XBTUSD_1440``), in minutes."""
        found = self._kraken
        return int(found["minutes"]) if found and found["minutes"] else None

    @property
    def is_krakens(self) -> bool:
        """Whether the name has the form of Kraken's bulk files: ``XBTUSD_1440`` for bars, ``XBTUSD`` for trades."""
        return self._kraken is not None

    @property
    def _kraken(self) -> re.Match[str] | None:
        return _KRAKEN.match(self.stem)

    @cached_property
    def vendor(self) -> VendorName | None:
        """What the name says if it has the form of a known vendor's."""
        return next((found for name in self.names if (found := vendor_name(_stem(name)))), None)

    @cached_property
    def symbol(self) -> str | None:
        """The symbol in the name, in the platform's spelling; None if there is none, or it may be several."""
        return self._symbols[0] if len(self._symbols) == 1 and not isinstance(self._symbols, _Ambiguous) else None

    @cached_property
    def candidates(self) -> tuple[str, ...]:
        """The symbols that the name may mean, if it may mean several."""
        return () if self.symbol else tuple(self._symbols)

    @cached_property
    def _symbols(self) -> tuple[str, ...]:
        return next((found for name in self.names if (found := _symbols_in(_stem(name)))), ())


def _stem(name: str) -> str:
    return _SUFFIXES.sub("", PurePath(name.replace("\\", "/")).name)


def _tokens(stem: str) -> list[str]:
    return [token for token in re.split(r"[_\-\s.,()]+", stem) if token]


def _symbols_in(stem: str) -> tuple[str, ...]:
    """The symbols that a name may mean: none, the one, or several."""
    if lean := _LEAN_DAY.match(stem):
        return (krakens(lean["symbol"].upper()),)
    if vendor := vendor_name(stem):
        return (vendor.symbol,) if vendor.symbol else _Ambiguous(vendor.candidates)
    whole = _whole(stem)
    return (whole,) if whole else _symbols_in_words(stem)


def _symbols_in_words(stem: str) -> tuple[str, ...]:
    """The symbols that the words of a name may mean: pairs before others."""
    parts = _BETWEEN.split(stem)
    words, marks = parts[::2], parts[1::2]
    perpetual = "-PERP" if not _PERPETUAL.isdisjoint(words) else ""
    if pairs := tuple(dict.fromkeys(pair + perpetual for word in words if (pair := _pair_in(word.upper())))):
        return pairs
    joined = [
        (krakens(first + second), first) for first, second in pairwise(words) if second in QUOTES and first.isupper()
    ]
    if known := tuple(dict.fromkeys(pair + perpetual for pair, _ in joined if is_pair(pair))):
        return known
    if joined:  # SHIB-USD may be a coin in dollars or a share
        return _Ambiguous(joined[0])
    found = _single_words(words, marks)
    return tuple(symbol + perpetual for symbol in found) if perpetual else found


def _whole(stem: str) -> str | None:
    """The symbol of a name that is nothing else, such as Yahoo's: ``BTC-USD``, ``BRK-B``, ``7203.T``, ``^GSPC``."""
    if stem != stem.upper() or not re.fullmatch(r"\^?[A-Z0-9.]+(?:-(?:[A-Z]{3,5}|[ABCK]))?(?:=X)?", stem):
        return None
    base = stem.lstrip("^").partition("-")[0].partition(".")[0]
    if base in _NOT_SYMBOLS or base in EXCHANGE_WORDS or (base.isdigit() and "." not in stem):
        return None
    symbol = spelled(stem)
    return _pair_in(symbol) or symbol if symbol and (symbol[0].isalpha() or "." in symbol) else None


def _single_words(words: list[str], marks: list[str]) -> tuple[str, ...]:
    """The words that may be symbols; a letter after a dash may be a share class, after an underscore a length."""
    found: list[str] = []
    for mark, word in zip(["", *marks], words, strict=True):
        if not _may_be_symbol(word):
            continue
        if found and mark == "-" and word in _SHARE_CLASSES:
            found[-1] = f"{found[-1]}.{word}"
        elif not found or mark == "-" or word not in _LENGTH_LETTERS:
            found.append(word)
    symbols = tuple(dict.fromkeys(krakens(spelled(word) or word) for word in found if word not in EXCHANGE_WORDS))
    return symbols or _Ambiguous(found)


def _may_be_symbol(word: str) -> bool:
    length = word.lower() in _TIMEFRAMES or _MINUTES.fullmatch(word)
    return _SYMBOL_WORD.fullmatch(word) is not None and word not in _NOT_SYMBOLS and not length


def _pair_in(word: str) -> str | None:
    """A pair of currencies, optionally followed by MetaTrader's minutes (``EURUSD60``)."""
    forms = (word, word.rstrip("0123456789"))
    return next((krakens(text) for text in forms if is_pair(krakens(text)) or is_pair(text)), None)
