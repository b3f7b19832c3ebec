"""Translates between Kraken's pair names and the platform's symbols, by the response of AssetPairs."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from trading_platform.domain.errors import MalformedPayload, SourceRejected
from trading_platform.domain.money import keeps_price
from trading_platform.domain.texts import shown
from trading_platform.sources.strict_json import excerpt, number_of

_ASSET_NAMES = {"XBT": "BTC", "XDG": "DOGE"}
"""Assets with another name at Kraken than elsewhere."""

_LEGACY = frozenset("XETC XETH XLTC XMLN XREP XXBT XXDG XXLM XXMR XXRP XZEC ZAUD ZCAD ZEUR ZGBP ZJPY ZUSD".split())
"""The old assets, which have a letter before them in balances and names of pairs; new ones can begin with X or Z."""


@dataclass(frozen=True)
class KrakenPair:
    """One pair as Kraken lists it.

    Attributes:
        symbol: the platform's spelling: ``BTCUSD``.
        name: key of Kraken's responses: ``XXBTZUSD``.
        altname: short name, as requests spell it: ``XBTUSD``.
        wsname: with a slash: ``XBT/USD``.
        tick_size: smallest price step, if Kraken states it.
    """

    symbol: str
    name: str
    altname: str
    wsname: str
    tick_size: Decimal | None

    @property
    def quote(self) -> str | None:
        """The currency of its prices; None if the name does not separate it."""
        return _common(self.wsname.partition("/")[2]) or None

    @property
    def base(self) -> str | None:
        """The asset that is traded; None if the name does not separate it."""
        base, slash, _ = self.wsname.partition("/")
        return _common(base) if slash else None

    @property
    def live_name(self) -> str:
        """The spelling of WebSocket v2, with the common names: ``BTC/USD``."""
        base, _, quote = self.wsname.partition("/")
        return f"{_common(base)}/{_common(quote)}"


class PairBook:
    """All pairs, found by symbol or by any of Kraken's spellings.

    Args:
        pairs: the pairs.
        unreadable: by Kraken's name, why a pair's description cannot be used; the other pairs do not suffer from it.
    """

    def __init__(self, pairs: Iterable[KrakenPair], unreadable: Mapping[str, MalformedPayload] | None = None) -> None:
        self._unreadable = unreadable or {}
        self._by_spelling: dict[str, KrakenPair] = {}
        self._symbols: list[str] = []
        for pair in pairs:
            self._symbols.append(pair.symbol)
            for spelling in (pair.symbol, pair.name, pair.altname, pair.wsname, pair.live_name):
                self._by_spelling.setdefault(spelling.upper(), pair)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every listed pair, in the platform's spelling."""
        return tuple(self._symbols)

    def get(self, spelling: str) -> KrakenPair | None:
        """The pair of a spelling, or None if there is no such pair.

        Raises:
            MalformedPayload: if Kraken lists a pair of that name and its description cannot be used.
        """
        if spelling in self._unreadable:
            raise self._unreadable[spelling]
        return self._by_spelling.get(spelling.upper())

    def find(self, spelling: str) -> KrakenPair:
        """The pair of a spelling.

        Raises:
            SourceRejected: naming close matches if there is no such pair; or if its prices are finer than the
                columns they are stored in.
            MalformedPayload: if it is not listed among the pairs that can be read, and some cannot.
        """
        pair = self.get(spelling)
        if pair is None and self._unreadable:
            raise _unreadable(spelling, self._unreadable)
        if pair is None:
            close = difflib.get_close_matches(spelling.upper(), self._symbols, n=5, cutoff=0.5)
            raise SourceRejected(
                f"Kraken does not list the pair {shown(spelling)}.",
                expected=f"a listed pair; close to it: {', '.join(close)}" if close else "a listed pair",
                received=shown(spelling),
                remedy="correct the symbol, or remove the instrument from the universe",
            )
        if pair.tick_size is not None and not keeps_price(pair.tick_size):
            raise too_fine(pair.symbol, f"a step of {pair.tick_size:f}")
        return pair


def too_fine(symbol: str, received: str) -> SourceRejected:
    """The error for prices that the columns cannot hold."""
    return SourceRejected(
        f"Kraken's prices of {symbol} are finer than eight decimals and cannot be stored.",
        expected="prices in steps of 0.00000001 or more",
        received=received,
        remedy="remove the instrument from the universe",
    )


def parse_asset_pairs(payload: Mapping[str, Any]) -> PairBook:
    """The pairs in a result of AssetPairs.

    Raises:
        MalformedPayload: if no entry has the agreed shape; of some that have not, the book raises it when one is asked
            for.
    """
    pairs, unreadable = [], {}
    for name, entry in payload.items():
        try:
            pairs.append(_pair(name, entry))
        except MalformedPayload as error:
            unreadable[name] = error
    if unreadable and not pairs:
        raise next(iter(unreadable.values()))
    return PairBook(pairs, unreadable)


def _pair(name: str, entry: Any) -> KrakenPair:
    try:
        altname = entry["altname"]
        wsname = entry.get("wsname") or altname  # a few pairs without a live feed have none
        stated = entry.get("tick_size")
        base, _, quote = wsname.partition("/")
        tick = number_of(stated)
        if isinstance(altname, str) and (tick is not None or stated is None):
            return KrakenPair(f"{_common(base)}{_common(quote)}", name, altname, wsname, tick)
    except (KeyError, TypeError, AttributeError):
        pass
    raise MalformedPayload(
        f"Kraken's description of the pair {name[:50]!r} does not have the agreed shape.",
        expected="an object with altname, wsname and tick_size",
        received=excerpt(entry),
        remedy="check that KRAKEN_API_URL is Kraken's; if it is, its interface has changed",
    )


def _unreadable(spelling: str, unreadable: Mapping[str, MalformedPayload]) -> MalformedPayload:
    return MalformedPayload(
        f"Kraken's pair {spelling[:50]!r} is not among those that can be read.",
        expected="every pair with altname, wsname and tick_size",
        received=f"{len(unreadable)} without, the first {next(iter(unreadable))[:50]!r}",
        remedy="correct the symbol; if it is right, Kraken's interface has changed",
    )


def common_asset(code: str) -> str:
    """The common name of an asset in Kraken's balances: ``XXBT`` and ``XBT`` are ``BTC``, ``ZUSD`` is ``USD``.

    Kraken's suffixes for kinds of custody are kept: ``XBT.F`` is ``BTC.F``.
    """
    asset, dot, kind = code.partition(".")
    return f"{_common(asset[1:] if asset in _LEGACY else asset)}{dot}{kind}"


def _common(asset: str) -> str:
    return _ASSET_NAMES.get(asset, asset)
