"""Synchronous client of Interactive Brokers: contracts, bars, balances, positions, executions.

The connection runs on an event loop in its own thread. The first request opens it, and the first one after a
break opens it again. Any number of threads may send requests; each waits for its own response and the rate limiter.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from trading_platform.domain.errors import SourceError
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Clock, Sleep, utc_now
from trading_platform.sources.ibkr.connection import ANSWERING, ConnectionMachine, Link
from trading_platform.sources.ibkr.contracts import Qualified, spec_of
from trading_platform.sources.ibkr.durations import check_duration
from trading_platform.sources.ibkr.error_codes import connection_lost
from trading_platform.sources.ibkr.limits import MOST_OPEN, HistoryLimit
from trading_platform.sources.ibkr.maintenance import Maintenance
from trading_platform.sources.ibkr.requests import HistoryRequest, balances, executions, history, open_orders
from trading_platform.sources.ibkr.session import GREETING_SECONDS, Ask, Gateway, IbkrSession
from trading_platform.sources.live import Backoff
from trading_platform.sources.rate_limits import RateLimiter

if TYPE_CHECKING:
    from ib_async import AccountValue, BarData, Fill, Position, Trade

_Result = TypeVar("_Result")

RESPONSE_SECONDS = 60.0
"""Timeout of a response; the gateway itself times out after that."""

_ATTEMPTS = 3
_END_SECONDS = 5.0


class IbkrClient:
    """A client over one connection; close it after use.

    Args:
        gateway: address of TWS or the gateway.
        rate_limiter: enforces the limits, together with all processes that use the account.
        limit: the limits of requests for bars.
        maintenance: expected downtimes of Interactive Brokers.
        clock: the present.
        sleep: waits between attempts to connect.
        response_seconds: timeout of a response.
        greeting: timeout of the gateway's handshake, seconds.
        backoff: the waits between attempts to connect.
    """

    def __init__(
        self,
        gateway: Gateway,
        rate_limiter: RateLimiter,
        *,
        limit: HistoryLimit | None = None,
        maintenance: Maintenance | None = None,
        clock: Clock = utc_now,
        sleep: Sleep = time.sleep,
        response_seconds: float = RESPONSE_SECONDS,
        greeting: float = GREETING_SECONDS,
        backoff: Backoff | None = None,
    ) -> None:
        self.gateway = gateway
        self.machine = ConnectionMachine(maintenance or Maintenance(), clock=clock)
        self._rate_limiter = rate_limiter
        self._clock = clock
        self._limit = limit or HistoryLimit(gateway.payer)
        self._sleep = sleep
        self._response_seconds = response_seconds
        self._backoff = backoff or Backoff()
        self._session = IbkrSession(gateway, self.machine, greeting=greeting)
        self._contracts: dict[Instrument, Qualified] = {}
        self._connecting = threading.Lock()
        self._sending = threading.Lock()
        self._one_at_a_time = threading.Lock()  # for requests of which the library keeps only one response
        self._ahead: timedelta | None = None
        self._open = threading.BoundedSemaphore(MOST_OPEN)
        self._loop: asyncio.AbstractEventLoop | None = None

    def contract(self, instrument: Instrument) -> Qualified:
        """The contract of an instrument; requested once.

        Raises:
            InvalidRequest: if the instrument's exchange is unknown.
            SourceRejected: if there is no such contract, or several.
            SourceUnavailable: if the request failed.
        """
        qualified = self._contracts.get(instrument)
        if qualified is None:
            self._be_ready(f"the contract {spec_of(instrument)}")
            self._rate_limiter.take(self._limit.message())
            qualified = self._wait_for(self._session.qualify(instrument, self._response_seconds))
            self._contracts[instrument] = qualified
        return qualified

    def history(self, request: HistoryRequest) -> list[BarData]:
        """The bars of a request, in order; empty if Interactive Brokers states that there are none.

        Raises:
            InvalidRequest: for a duration that is not available for such bars.
            RateLimited: if the limits were exceeded.
            SourceRejected: if the request was rejected, for lack of permission or otherwise.
            SourceUnavailable: if there was no response.
        """
        check_duration(request.duration, request.bar_size)
        with self._open:
            self._be_ready(str(request))  # before the rate limiter: a granted request must be sent at once
            contract = request.of.contract
            key = f"{contract.conId}@{contract.exchange}"
            costs = self._limit.costs(key, request.of.what, f"{key} {request}")
            with self._sending:
                self._rate_limiter.take(costs)
                work = self._begin(history(self._session, request, self._response_seconds))
            bars = work.result()
        if not bars and self.machine.history_farms_down:  # then the empty response proves nothing
            raise connection_lost(str(request), f"farms lost: {', '.join(sorted(self.machine.history_farms_down))}")
        return bars

    def ahead(self) -> timedelta:
        """How far our clock is ahead of theirs, which has whole seconds; requested once, never below zero.

        Raises:
            SourceUnavailable: if the request failed.
        """
        with self._one_at_a_time:
            if self._ahead is None:
                self._be_ready("the time")
                before = self._clock()
                theirs = self._ask(lambda ib: ib.reqCurrentTimeAsync(), "the time")
                self._ahead = max(timedelta(0), before - theirs.astimezone(UTC) - timedelta(seconds=1))
            return self._ahead

    def positions(self) -> list[Position]:
        """All positions of all accounts of the login.

        Raises:
            SourceUnavailable: if they are not available.
        """
        with self._one_at_a_time:
            return self._ask(lambda ib: ib.reqPositionsAsync(), "positions")

    def balances(self) -> list[AccountValue]:
        """The ledger of all accounts of the login, by currency, as Interactive Brokers reports it.

        Raises:
            SourceUnavailable: if it is not available.
        """
        with self._one_at_a_time:
            self._be_ready("balances")
            self._rate_limiter.take(self._limit.message())
            return self._wait_for(balances(self._session, self._response_seconds))

    def executions(self) -> list[Fill]:
        """The executions since midnight that Interactive Brokers reports, of all accounts of the login.

        Raises:
            SourceUnavailable: if they are not available.
        """
        with self._one_at_a_time:
            self._be_ready("executions")
            self._rate_limiter.take(self._limit.message())
            return self._wait_for(executions(self._session, self._response_seconds))

    def open_orders(self) -> list[Trade]:
        """The open orders of all accounts of the login.

        Raises:
            SourceRejected: if the gateway does not show orders, as in its read-only mode.
            SourceUnavailable: if they are not available.
        """
        with self._one_at_a_time:
            self._be_ready("open orders")
            self._rate_limiter.take(self._limit.message())
            return self._wait_for(open_orders(self._session, self._response_seconds))

    def close(self) -> None:
        """Closes the connection and its thread; pending requests fail."""
        with self._connecting:
            loop, self._loop = self._loop, None
            if loop is not None:
                asyncio.run_coroutine_threadsafe(self._end(), loop).result(_END_SECONDS)
                loop.call_soon_threadsafe(loop.stop)

    async def _end(self) -> None:
        self._session.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=1)
        await asyncio.sleep(0)  # lets the transport close

    def _be_ready(self, description: str) -> None:
        """Connects if necessary.

        Raises:
            SourceUnavailable: if that fails, or if the gateway itself has no connection.
        """
        with self._connecting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=_run, args=(self._loop,), name="ibkr-client", daemon=True).start()
            for attempt in range(1, _ATTEMPTS + 1):
                if self._session.is_open:
                    break
                try:
                    self._wait_for(self._session.open())
                except SourceError:
                    if attempt == _ATTEMPTS or self.machine.link is Link.NEEDS_LOGIN:
                        raise
                    self._sleep(self._backoff.next_wait())
            self._backoff.ended(self._backoff.lasting)
        if self.machine.link not in ANSWERING:
            raise connection_lost(description, self.machine.reason)

    def _ask(self, send: Ask[_Result], description: str) -> _Result:
        self._be_ready(description)
        self._rate_limiter.take(self._limit.message())
        return self._wait_for(self._session.ask(send, description, self._response_seconds))

    def _wait_for(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return self._begin(work).result()

    def _begin(self, work: Coroutine[Any, Any, _Result]) -> Future[_Result]:
        if self._loop is None:
            work.close()
            raise connection_lost(str(self.gateway), "closed by us")
        return asyncio.run_coroutine_threadsafe(work, self._loop)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    loop.close()
