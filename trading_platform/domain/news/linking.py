"""Which instruments a headline is about, each with its evidence.

Rules, the first that applies to a place counts: a ticker with its exchange (`NYSE: CCL`), a cashtag (`$CCL`) or a
pair of currencies (`EUR/USD`), a name (`Carnival`), a bare ticker of at least three capitals (`CCL`). A name or
ticker that is also a word needs a context that only a company or coin has
(:mod:`trading_platform.domain.news.word_context`). What is part of an address, a share button or an attribution is no
evidence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from trading_platform.domain.market.instruments import FIAT, METALS, AssetClass, Instrument
from trading_platform.domain.news.articles import digest
from trading_platform.domain.news.common_words import WORDS
from trading_platform.domain.news.instrument_names import COIN_NAMES, COMPANY_NAMES, INDEX_NAMES
from trading_platform.domain.news.word_context import Context, is_all_capitals, masked

RULES_VERSION = 2
"""Raise it when the rules change, so that stored articles are linked again."""

LONGEST = 2_000
"""Characters of a text that are read: headline and summary; what stands later is seldom what an article is about."""

_SHORTEST_TICKER = 3
_QUOTES = FIAT | {"USDT", "USDC", "BTC", "ETH"}
_EXCHANGES = {
    "XNYS": "NYSE NASDAQ NASDAQGS NASDAQGM NASDAQCM AMEX NYSEAMERICAN NYSEARCA ARCA BATS CBOE OTC OTCMKTS OTCQX N O",
    "XTSE": "TSX TSXV CSE NEO TO",
    "XLON": "LSE LON L AIM",
    "XETR": "ETR XETRA XETR FRA FWB DE",
    "XPAR": "EPA PAR PA EURONEXT",
    "XMAD": "BME MC MCE",
    "XAMS": "AMS AS",
    "XMIL": "BIT MI",
    "XSWX": "SWX SIX SW VX",
    "XTKS": "TYO TSE T",
    "XHKG": "HKG HKEX SEHK HK",
    "XASX": "ASX AX",
    "BVMF": "BVMF SA",
    "XMEX": "BMV MX",
}
_CALENDARS = {code: calendar for calendar, codes in _EXCHANGES.items() for code in codes.split()}
_US = frozenset({"XNYS", "XNAS", "XASE", "ARCX", "BATS"})
_CODE = r"[A-Z0-9]{1,6}(?:[.\-/][A-Z]{1,2})?"
_QUALIFIED = re.compile(
    r"\b(NYSE ?(?:American|Arca|MKT)?|NYSEARCA|N(?:ASDAQ|asdaq)(?:[ -]?[GC][SM])?|AMEX|BATS|CBOE|OTC(?:MKTS|QX|QB)?|"
    r"TSXV?|CSE|NEO|LSE|"
    r"LON|AIM|ETR|XETRA|FRA|FWB|EPA|Euronext|BME|AMS|BIT|SWX|SIX|TYO|TSE|HKG|HKEX|SEHK|ASX|BVMF|BMV)\s?:\s?((?:\[?\$?"
    + _CODE
    + r"\]?(?:\([^)\s]*\))?(?:\s?[,;&/]\s?|\s?and\s)?)+)"
)
_REUTERS = re.compile(r"<(" + _CODE + r")\.([A-Z]{1,2})>")
_MARKDOWN_LINK = re.compile(r"\]\([^)\s]*\)")
_ONE_CODE = re.compile(_CODE)
_CASHTAG = re.compile(r"(?<![\w$])\$([A-Za-z]{1,6}(?:[.\-/][A-Za-z]{1,2}|\d{0,2})?)(?![\w$])")
_PAIR = re.compile(r"(?<![\w/$])([A-Z]{3,5})\s?[/\-]\s?([A-Z]{3,4})(?![\w/])|(?<!\w)\$?([A-Z]{6,9})(?!\w)")
_BARE = re.compile(r"(?<![\w$.&'’-])#?([A-Z][A-Z0-9]{1,5}(?:[.\-/][A-Z])?)(?![\w&]|[.\-/]\w)")

_CURRENCIES = dict(
    each.split("=")
    for each in (
        "euro=EUR dollar=USD dólar=USD yen=JPY pound=GBP sterling=GBP libra=GBP franc=CHF franco=CHF yuan=CNY"
        " loonie=CAD aussie=AUD kiwi=NZD"
    ).split()
)
_CURRENCY = "|".join(_CURRENCIES)
_PAIR_IN_WORDS = re.compile(
    rf"\b({_CURRENCY})(?:/|(?:\s[\w%.,'-]+){{0,6}}?\s(?:against|versus|vs\.?|frente al?|contra el)\s(?:the\s)?"
    rf"(?:U\.?S\.?\s)?)({_CURRENCY})\b",
    re.IGNORECASE,
)
"""`dollar/yen`, `Euro slips against the dollar`."""

_METAL = re.compile(r"(?<![\w-])(gold|oro|silver|plata)(?![\w-])", re.IGNORECASE)
_METALS = {"gold": "XAU", "oro": "XAU", "silver": "XAG", "plata": "XAG"}


class Rule(StrEnum):
    """How an instrument was recognised."""

    EXCHANGE = "exchange"
    CASHTAG = "cashtag"
    NAME = "name"
    TICKER = "ticker"


@dataclass(frozen=True)
class Link:
    """An instrument that a text is about.

    Attributes:
        symbol: the instrument.
        rule: how it was recognised.
        evidence: the words of the text.
        position: where they begin, in characters.
    """

    symbol: str
    rule: Rule
    evidence: str
    position: int


@dataclass(frozen=True)
class InstrumentDictionary:
    """What texts call the instruments of the universe.

    Attributes:
        tickers: symbols by ticker, as it is written without its exchange.
        calendars: the calendar of each symbol.
        pairs: symbols by their two codes, as in EUR and USD.
        coins: base codes of crypto pairs, which are tickers, too.
        names: symbols by name.
        own: names that a user gave; they count even where they are words.
    """

    tickers: Mapping[str, tuple[str, ...]]
    calendars: Mapping[str, str]
    pairs: Mapping[tuple[str, str], str]
    coins: frozenset[str]
    names: Mapping[str, tuple[str, ...]]
    own: frozenset[str] = field(default_factory=frozenset)

    @cached_property
    def version(self) -> str:
        """Identifies rules and dictionary: articles linked by another version are linked again."""
        return f"{RULES_VERSION}-{digest(repr(sorted(self.tickers.items())), repr(sorted(self.names.items()))).hex()}"

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """All names, the longest first; those of several words and those of coins in any capitals."""
        ordered = sorted(self.names, key=lambda name: (-len(name), name))
        return re.compile(rf"(?<![\w$@#.])(?:{'|'.join(map(re.escape, ordered)) or '(?!)'})(?![\w@])", re.IGNORECASE)

    @cached_property
    def coin_names(self) -> frozenset[str]:
        """The names of its coins."""
        return frozenset(name for base in self.coins for name in COIN_NAMES.get(base, ()))

    @cached_property
    def has_currencies(self) -> bool:
        """Whether it has pairs of currencies or metals."""
        return any(base in FIAT | METALS for base, _ in self.pairs)

    @cached_property
    def codes(self) -> frozenset[str]:
        """Codes of currencies, metals and coins, of which pairs are made."""
        return FIAT | METALS | self.coins | {"USDT", "USDC"}

    @cached_property
    def folded(self) -> Mapping[str, tuple[str, ...]]:
        """The names in small letters, with the spellings that they have."""
        found: dict[str, tuple[str, ...]] = {}
        for name in self.names:
            found[name.lower()] = (*found.get(name.lower(), ()), name)
        return found


def dictionary_of(
    instruments: Iterable[Instrument], aliases: Mapping[str, Iterable[str]] | None = None
) -> InstrumentDictionary:
    """The dictionary of some instruments.

    Args:
        instruments: the universe.
        aliases: a user's own names by symbol.
    """
    tickers: dict[str, list[str]] = {}
    names: dict[str, list[str]] = {}
    pairs: dict[tuple[str, str], str] = {}
    coins: set[str] = set()
    calendars: dict[str, str] = {}
    for one in instruments:
        calendars[one.symbol] = one.calendar
        called: tuple[str, ...] = ()
        pair = _codes_of(one)
        if pair is not None:
            pairs[pair] = one.symbol
        if pair is not None and one.asset_class is AssetClass.CRYPTO:
            coins.add(pair[0])
            tickers.setdefault(pair[0], []).append(one.symbol)
            called = COIN_NAMES.get(pair[0], ())
        elif one.asset_class in {AssetClass.EQUITY, AssetClass.ETF}:
            base = one.symbol if one.calendar in _US else one.symbol.rpartition(".")[0] or one.symbol
            tickers.setdefault(base, []).append(one.symbol)
            called = COMPANY_NAMES.get(one.symbol, ())
        else:
            called = INDEX_NAMES.get(one.symbol, ())
        for name in called:
            names.setdefault(name, []).append(one.symbol)
    own = {(symbol, name) for symbol, given in (aliases or {}).items() if symbol in calendars for name in given}
    for symbol, name in sorted(own):
        names.setdefault(name, []).append(symbol)
    for name in [name for called in COMPANY_NAMES.values() for name in called if " " in name]:
        if name not in names and any(name.startswith(f"{known} ") for known in names):
            names[name] = []  # another company, which is not in the universe: `Siemens Energy` is not `Siemens`
    return InstrumentDictionary(
        tickers={ticker: tuple(symbols) for ticker, symbols in tickers.items()},
        calendars=calendars,
        pairs=pairs,
        coins=frozenset(coins),
        names={name: tuple(dict.fromkeys(symbols)) for name, symbols in names.items()},
        own=frozenset(name for _, name in own),
    )


def link(text: str, dictionary: InstrumentDictionary) -> list[Link]:
    """The instruments that a text is about, each once, by the strongest evidence."""
    linker = _Linker(text, dictionary)
    found: dict[str, Link] = {}
    rules = (linker.qualified, linker.cashtags, linker.pairs, linker.pairs_in_words, linker.names, linker.tickers)
    for rule in rules:
        for one in list(rule()):
            found.setdefault(one.symbol, one)
    return sorted(found.values(), key=lambda one: (one.position, one.symbol))


def _codes_of(one: Instrument) -> tuple[str, str] | None:
    """The two codes of a pair of currencies or coins; None if the instrument is none."""
    if one.asset_class not in {AssetClass.FX, AssetClass.CRYPTO}:
        return None
    symbol = one.symbol.replace("-", "").replace(".", "")
    length = 4 if symbol.endswith(("USDT", "USDC")) and len(symbol) > len("USDTUSD") - 1 else 3
    return symbol[:-length], symbol[-length:]


class _Linker:
    """Applies the rules to one text, and remembers which places of it are used."""

    def __init__(self, text: str, dictionary: InstrumentDictionary) -> None:
        text = text[:LONGEST]
        self._text = masked(_MARKDOWN_LINK.sub(lambda found: "]" + " " * (len(found[0]) - 1), text))
        self._given = text
        self._dictionary = dictionary
        self._used: list[tuple[int, int]] = []
        self._elsewhere: set[str] = set()  # tickers of exchanges outside of the United States

    def qualified(self) -> Iterator[Link]:
        """Tickers with their exchange; one of another exchange is another company."""
        for found in _QUALIFIED.finditer(self._text):
            calendar = _CALENDARS.get(re.sub(r"[ \-]", "", found[1]).upper().replace("NYSEMKT", "AMEX"), "XNYS")
            for code in _ONE_CODE.finditer(self._text, found.start(2), found.end(2)):
                self._elsewhere |= set() if calendar in _US else {re.split(r"[.\-/]", code[0])[0]}
                yield from self._of_ticker(code[0], calendar, code.start(), Rule.EXCHANGE)
            self._used.append(found.span())
        for found in _REUTERS.finditer(self._text):
            yield from self._of_ticker(found[1], _CALENDARS.get(found[2], ""), found.start(1), Rule.EXCHANGE)
            self._used.append(found.span())

    def cashtags(self) -> Iterator[Link]:
        """`$BRK.B`; in small letters only where it is no word."""
        for found in _CASHTAG.finditer(self._text):
            code = found[1]
            if self._is_used(found.span()) or (code != code.upper() and code.lower() in WORDS):
                continue
            self._used.append(found.span())
            for symbol in self._symbols(code.upper()):
                yield self._link(symbol, Rule.CASHTAG, found.start(), found.end())

    def pairs(self) -> Iterator[Link]:
        """`EUR/USD`, `EURUSD`: the pair, and neither of its sides."""
        for found in _PAIR.finditer(self._text):
            codes = (found[1], found[2]) if found[1] else _split(found[3])
            if codes is None or self._is_used(found.span()) or not set(codes) <= self._dictionary.codes:
                continue
            self._used.append(found.span())
            if symbol := self._dictionary.pairs.get(codes):
                yield self._link(symbol, Rule.TICKER, found.start(), found.end())

    def pairs_in_words(self) -> Iterator[Link]:
        """A pair of currencies or the price of a metal, in words; only where the universe has pairs of these."""
        pairs = self._dictionary.pairs
        if not self._dictionary.has_currencies:
            return
        lowered = self._text.lower()
        spoken = any(each in lowered for each in _CURRENCIES)
        for found in _PAIR_IN_WORDS.finditer(self._text) if spoken else ():
            first, second = _CURRENCIES[found[1].lower()], _CURRENCIES[found[2].lower()]
            symbol = pairs.get((first, second)) or pairs.get((second, first))
            if symbol and not self._is_used(found.span()):
                yield self._link(symbol, Rule.NAME, found.start(), found.end())
        for found in _METAL.finditer(self._text) if any(each in lowered for each in _METALS) else ():
            symbol = pairs.get((_METALS[found[1].lower()], "USD"))
            if symbol and Context(self._text, *found.span()).means_metal():
                yield self._link(symbol, Rule.NAME, found.start(), found.end())

    def names(self) -> Iterator[Link]:
        """Names of companies, coins and indexes, the longest first; one that means it once means it again."""
        meant: set[str] = set()
        for found in self._dictionary.pattern.finditer(self._text):
            if self._is_used(found.span()):
                continue
            name = self._name_of(found[0])
            if name is None or not (name in meant or self._means(name, found.start(), found.end())):
                continue
            meant.add(name)
            self._used.append(found.span())
            for symbol in self._dictionary.names[name]:
                yield self._link(symbol, Rule.NAME, found.start(), found.end())

    def tickers(self) -> Iterator[Link]:
        """Bare tickers; none in a text that is all in capitals."""
        if is_all_capitals(self._text):
            return
        for found in _BARE.finditer(self._text):
            code = found[1]
            start, end = found.span(1)
            letters = code.replace(".", "").replace("-", "").replace("/", "")
            if len(letters) < _SHORTEST_TICKER or self._is_used((start, end)):
                continue
            if code in self._elsewhere:
                continue
            is_coin = code in self._dictionary.coins
            if code.lower() in WORDS and not Context(self._text, start, end).means_ticker(is_coin=is_coin):
                continue
            for symbol in self._symbols(code):
                yield self._link(symbol, Rule.TICKER, start, end)

    def _name_of(self, written: str) -> str | None:
        """The name that is written here: with its capitals; of coins and of several words, also without them."""
        spellings = self._dictionary.folded.get(written.lower(), ())
        for name in spellings:
            if written in {name, name.upper(), f"{name[:1].upper()}{name[1:]}"}:
                return name
        if set(written.lower().split()) <= WORDS:
            return None
        return next((name for name in spellings if " " in name or self._is_coin(name)), None)

    def _is_coin(self, name: str) -> bool:
        return name in self._dictionary.coin_names

    def _means(self, name: str, start: int, end: int) -> bool:
        if name in self._dictionary.own and name.lower() not in WORDS:
            return True
        context = Context(self._text, start, end, self._dictionary.folded)
        if name.lower() in WORDS:
            return context.means_coin() if self._is_coin(name) else context.means_company()
        return not context.is_another_name()

    def _symbols(self, code: str) -> tuple[str, ...]:
        spellings = (code, code.replace("-", ".").replace("/", "."), code.replace(".", "-"))
        found = next((self._dictionary.tickers[each] for each in spellings if each in self._dictionary.tickers), ())
        whole = tuple(each for each in spellings if each in self._dictionary.calendars)
        return found or whole[:1]

    def _of_ticker(self, code: str, calendar: str, start: int, rule: Rule) -> Iterator[Link]:
        wanted = _US if calendar in _US else {calendar}
        for symbol in self._symbols(code):
            if self._dictionary.calendars[symbol] in wanted:
                yield self._link(symbol, rule, start, start + len(code))

    def _is_used(self, span: tuple[int, int]) -> bool:
        return any(start < span[1] and span[0] < end for start, end in self._used)

    def _link(self, symbol: str, rule: Rule, start: int, end: int) -> Link:
        return Link(symbol, rule, self._given[start:end], start)


def _split(code: str) -> tuple[str, str] | None:
    """The two sides of a pair that is written together, such as BTCUSD or DOGEUSDT."""
    for length in (4, 3):
        if code[-length:] in _QUOTES and len(code) - length >= len("BTC"):
            return code[:-length], code[-length:]
    return None
