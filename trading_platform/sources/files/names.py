"""Information in a file's name: symbol, timeframe, and LEAN's and Kraken's own conventions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import PurePath

from trading_platform.domain.market.instruments import CRYPTO, FIAT, AssetClass, guess_instrument
from trading_platform.domain.time import Timeframe

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
_SYMBOL_TOKEN = re.compile(r"[A-Z][A-Z0-9]{0,14}")
_NOT_SYMBOLS = frozenset(["OHLC", "OHLCV", "OHLCVT", "CSV", "DATA", "BID", "ASK", "MID", "UTC"])
_QUOTES = FIAT | CRYPTO
_KRAKEN_SPELLINGS = {"XBT": "BTC", "XDG": "DOGE"}
_LONGEST_SYMBOL = 20
_KRAKEN_LONG = re.compile(r"X(?P<base>[A-Z]{3})[ZX](?P<quote>[A-Z]{3})")


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
    def words(self) -> frozenset[str]:
        """The lower-case words of all the names, folders included."""
        parts = (part for name in self.names for part in re.split(r"[^A-Za-z0-9]+", name))
        return frozenset(part.lower() for part in parts if part)

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
    def symbol(self) -> str | None:
        """The symbol in the name, in the platform's spelling, or None if there is none."""
        for name in self.names:
            if found := _symbol_in(_stem(name)):
                return found
        return None


def _stem(name: str) -> str:
    return _SUFFIXES.sub("", PurePath(name.replace("\\", "/")).name)


def _tokens(stem: str) -> list[str]:
    return [token for token in re.split(r"[_\-\s.,()]+", stem) if token]


def _symbol_in(stem: str) -> str | None:
    if lean := _LEAN_DAY.match(stem):
        return _platform_spelling(lean["symbol"].upper())
    tokens = [token for token in _tokens(stem) if token.lower() not in _TIMEFRAMES and token not in _NOT_SYMBOLS]
    for token in tokens:
        if pair := _pair_in(token.upper()):
            return _platform_spelling(pair)
    for token, following in zip(tokens, [*tokens[1:], ""], strict=True):
        if _SYMBOL_TOKEN.fullmatch(token):
            return _platform_spelling(_joined(token, following))
    return None


def _pair_in(token: str) -> str | None:
    """A pair of currencies, optionally followed by MetaTrader's minutes (``EURUSD60``)."""
    return next((text for text in (token, token.rstrip("0123456789")) if _is_pair(text)), None)


def _is_pair(text: str) -> bool:
    """Whether it is a pair; a lower-case name only if it is two known currencies: ``bad.csv`` is not a symbol."""
    return text.isalnum() and guess_pair(text)


def guess_pair(symbol: str) -> bool:
    """Whether a symbol is a pair of known currencies."""
    if len(symbol) > _LONGEST_SYMBOL or not symbol.isascii():
        return False
    return guess_instrument(symbol, "file").asset_class in (AssetClass.FX, AssetClass.CRYPTO)


def _joined(token: str, following: str) -> str:
    if following in _QUOTES and not _is_pair(token):
        return token + following
    if len(following) == 1 and following.isupper():  # a share class: BRK-B
        return f"{token}.{following}"
    return token


def _platform_spelling(symbol: str) -> str:
    if (long := _KRAKEN_LONG.fullmatch(symbol)) and not guess_pair(symbol):
        symbol = long["base"] + long["quote"]
    for theirs, ours in _KRAKEN_SPELLINGS.items():
        if symbol.startswith(theirs) and symbol[len(theirs) :] in _QUOTES:
            symbol = ours + symbol[len(theirs) :]
        elif symbol.endswith(theirs) and len(symbol) > len(theirs) + 2:
            symbol = symbol[: -len(theirs)] + ours
    return symbol
