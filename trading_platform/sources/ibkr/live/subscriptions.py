"""The instruments followed over a session, the rejected ones with their reason, and their quotes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from trading_platform.domain.errors import SourceError
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.market.live.events import Quote
from trading_platform.domain.time import Clock
from trading_platform.sources.ibkr.contracts import Qualified, spec_of
from trading_platform.sources.ibkr.error_codes import Verdict, verdict_of
from trading_platform.sources.ibkr.parse import QuoteFold, newer
from trading_platform.sources.ibkr.session import IbkrSession

if TYPE_CHECKING:
    from ib_async import Ticker

log = logging.getLogger(__name__)

RESPONSE_SECONDS = 10.0
"""Timeout of a request for a contract."""

_AGAIN = timedelta(minutes=1)
"""When an instrument is requested again after a rejection for a temporary reason."""
_MAY_PASS = frozenset({Verdict.UNAVAILABLE, Verdict.PACING})


@dataclass(frozen=True)
class _Rejection:
    """Why a symbol is not followed, and when it is tried again; None: after the next connection."""

    reason: str
    until: datetime | None


class Subscriptions:
    """The subscriptions of a feed.

    Args:
        instruments: instruments to follow.
        clock: the receiver's clock.
        changed: called when there is something to emit.

    Raises:
        InvalidRequest: if the exchange of an instrument is unknown.
    """

    def __init__(self, instruments: Iterable[Instrument], *, clock: Clock, changed: Callable[[], None]) -> None:
        self.instruments = {instrument.symbol: instrument for instrument in instruments}
        for instrument in self.instruments.values():
            spec_of(instrument)
        self.last_tick: datetime | None = None
        self._clock = clock
        self._changed = changed
        self._contracts: dict[str, Qualified] = {}
        self._folds: dict[int, QuoteFold] = {}
        self._requests: dict[int, str] = {}
        self._rejected: dict[str, _Rejection] = {}
        self._quotes: dict[str, Quote] = {}

    @property
    def followed(self) -> set[str]:
        """The symbols that are subscribed."""
        return set(self._requests.values())

    def missing(self) -> list[str]:
        """The symbols to subscribe: neither followed nor rejected for now."""
        now = self._clock()
        self._rejected = {
            symbol: rejection
            for symbol, rejection in self._rejected.items()
            if rejection.until is None or rejection.until > now
        }
        return sorted(set(self.instruments) - self.followed - set(self._rejected))

    def rejection_of(self, symbol: str) -> str | None:
        """Why a symbol was rejected, in words; None if it was not."""
        rejection = self._rejected.get(symbol)
        return rejection.reason if rejection is not None else None

    def begin(self, session: IbkrSession) -> None:
        """Starts on a new connection: nothing is subscribed on it, and nothing is rejected."""
        self.delete()
        self._rejected.clear()
        session.ib.pendingTickersEvent += self._ticks

    def delete(self) -> None:
        """Forgets all subscriptions after the connection was lost."""
        self._requests.clear()

    def cancel(self, session: IbkrSession) -> None:
        """Cancels all subscriptions, because it is unknown which of them were lost."""
        for symbol in self._requests.values():
            session.ib.cancelMktData(self._contracts[symbol].contract)
        self._requests.clear()

    async def follow(self, symbol: str, session: IbkrSession) -> None:
        """Subscribes a symbol, or records why that is not possible."""
        try:
            of = self._contracts.get(symbol)
            if of is None:
                of = self._contracts[symbol] = await session.qualify(self.instruments[symbol], RESPONSE_SECONDS)
            ib = session.ib
        except SourceError as error:
            if session.is_open:
                self._reject(symbol, str(error), may_pass=error.retryable)
            return
        self._folds[of.contract.conId] = QuoteFold(symbol, of.min_tick)
        ticker = ib.reqMktData(of.contract)
        self._requests[ib.wrapper.ticker2ReqId["mktData"][ticker]] = symbol

    def error(self, request: int, code: int, text: str) -> None:
        """Processes a code that belongs to a request: it may end a subscription."""
        verdict = verdict_of(code, text)
        if request in self._requests and verdict is not Verdict.NOTICE:
            self._reject(self._requests.pop(request), f"{code}: {text}", may_pass=verdict in _MAY_PASS)

    def take_quotes(self) -> list[Quote]:
        """The quotes since the last call, one per symbol, in order of time."""
        quotes = sorted(self._quotes.values(), key=lambda quote: quote.time)
        self._quotes.clear()
        return quotes

    def _reject(self, symbol: str, reason: str, *, may_pass: bool) -> None:
        log.warning("%s is not followed: %s", symbol, reason)
        self._rejected[symbol] = _Rejection(reason, self._clock() + _AGAIN if may_pass else None)
        self._changed()

    def _ticks(self, tickers: Iterable[Ticker]) -> None:
        now = self.last_tick = self._clock()
        for ticker in tickers:
            fold = self._folds.get(ticker.contract.conId) if ticker.contract is not None else None
            quote = fold.fold(ticker.ticks, now) if fold is not None else None
            if quote is not None:
                self._quotes[quote.symbol] = newer(self._quotes.get(quote.symbol), quote)
                self._changed()
