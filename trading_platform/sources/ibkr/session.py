"""One connection of ib_async to TWS or the gateway, on the event loop it is opened on.

It connects read-only, requests nothing by itself, finds a free client number, and reports events to the
:class:`~trading_platform.sources.ibkr.connection.ConnectionMachine`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from zoneinfo import ZoneInfo

from trading_platform.domain.market.instruments import Instrument
from trading_platform.sources.ibkr.connection import ConnectionMachine
from trading_platform.sources.ibkr.contracts import Qualified, choose, spec_of
from trading_platform.sources.ibkr.error_codes import Verdict, connection_lost, error_of, no_response, verdict_of

if TYPE_CHECKING:
    from ib_async import IB

_Result = TypeVar("_Result")

Ask = Callable[["IB"], Awaitable[_Result]]
"""Sends a request over a connection."""

CLIENT_NUMBERS = 16
"""Number of client numbers tried from IBKR_CLIENT_ID on: each connection needs its own; a gateway allows 32."""

GREETING_SECONDS = 10.0
"""Timeout of the gateway's handshake."""

LARGEST_MESSAGE = 16 * 2**20
"""Bytes of a message; the longest regular one, bars of a week of minutes, has 1 MB. The length that a message states
can be 4 GB, and the library would wait for all of it."""

_NEW_YORK = ZoneInfo("America/New_York")
_PREFIX = 4  # bytes of a message's length
_NUMBER_TAKEN = 326
_VALIDATION = 321

OnError = Callable[[int, int, str], None]
"""Called for every code: number of the request it belongs to (-1: none), code, text."""


@dataclass(frozen=True)
class Gateway:
    """The address of TWS or the gateway, and our identity there.

    Attributes:
        host: address.
        port: 4001 and 4002 of the gateway, 7496 and 7497 of TWS; the second of each is paper trading.
        client_id: the first client number to try.
        account: account of the positions and executions; None: the only one there is.
        zone: the gateway's time zone, for its times without a zone and the midnight at which executions begin.
    """

    host: str
    port: int = 4002
    client_id: int = 10
    account: str | None = None
    zone: ZoneInfo = _NEW_YORK

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def payer(self) -> str:
        """The key under which its limits are shared."""
        return self.account or str(self)


class IbkrSession:
    """A connection, which can be opened again after it has ended.

    Args:
        gateway: address of the gateway.
        machine: receives the events.
        on_error: called for codes.
        on_change: called when the machine's state may have changed.
        greeting: timeout of the handshake, seconds.
    """

    def __init__(
        self,
        gateway: Gateway,
        machine: ConnectionMachine,
        *,
        on_error: OnError = lambda _request, _code, _text: None,
        on_change: Callable[[], None] = lambda: None,
        greeting: float = GREETING_SECONDS,
    ) -> None:
        self.machine = machine
        self._gateway = gateway
        self._on_error = on_error
        self._on_change = on_change
        self._greeting = greeting
        self._ib: IB | None = None
        self._rejected: dict[int, asyncio.Future[Any]] = {}

    @property
    def ib(self) -> IB:
        """The library's connection.

        Raises:
            SourceUnavailable: if there is none.
        """
        if self._ib is None or not self._ib.client.isReady():
            raise connection_lost(str(self._gateway), self.machine.reason)
        return self._ib

    @property
    def is_open(self) -> bool:
        """Whether the gateway is connected, even if it has lost its own connection."""
        return self._ib is not None and self._ib.client.isReady()

    async def open(self) -> None:
        """Connects.

        Raises:
            SourceUnavailable: if that fails.
        """
        self._drop()
        why = "no client number is free"
        for number in range(self._gateway.client_id, self._gateway.client_id + CLIENT_NUMBERS):
            why, is_taken = await self._try(number)
            if not why:
                self._on_change()
                return
            if not is_taken:
                break
        self._on_change()
        raise connection_lost(str(self._gateway), why)

    def close(self) -> None:
        """Closes the connection, if there is one."""
        if self._ib is not None:
            self._drop()
            self.machine.disconnected("closed by us")

    async def ask(self, send: Ask[_Result], description: str, seconds: float) -> _Result:
        """Sends a request and returns its response.

        Args:
            send: sends the request.
            description: description of the request, for errors.
            seconds: timeout of the response.

        Raises:
            SourceError: if it was rejected, not answered, or the connection broke.
        """
        from ib_async.wrapper import RequestError

        try:
            return await asyncio.wait_for(send(self.ib), seconds)
        except RequestError as error:
            raise error_of(error.code, error.message, description) from None
        except TimeoutError:
            raise no_response(description, seconds) from None
        except ConnectionError as error:
            raise connection_lost(description, str(error)) from None

    async def qualify(self, instrument: Instrument, seconds: float) -> Qualified:
        """The contract of an instrument.

        Raises:
            InvalidRequest: if the instrument's exchange is unknown.
            SourceError: if there is no such contract, or several, or the request failed.
        """
        from ib_async import Contract

        spec = spec_of(instrument)
        contract = Contract(
            secType=spec.security_type, symbol=spec.symbol, exchange=spec.exchange, currency=spec.currency
        )
        found = await self.ask(lambda ib: ib.reqContractDetailsAsync(contract), f"the contract {spec}", seconds)
        return choose(spec, instrument, found)

    def expect(self, number: int, future: asyncio.Future[Any]) -> None:
        """Ends a request also by its errors that the library treats as warnings while it keeps waiting."""
        self._rejected[number] = future
        future.add_done_callback(lambda _done: self._rejected.pop(number, None))

    def _drop(self) -> None:
        ib, self._ib = self._ib, None
        if ib is not None:
            ib.disconnectedEvent.clear()
            ib.errorEvent.clear()
            ib.client.disconnect()
            ib.wrapper.connectionClosed()  # pending requests fail

    async def _try(self, number: int) -> tuple[str, bool]:
        """Connects by a client number: the reason of a failure, else empty, and whether the number is in use."""
        from ib_async import IB, StartupFetchNONE

        logging.getLogger("ib_async").setLevel(logging.CRITICAL)  # its messages are raised or emitted as events
        ib, messages = IB(), _ConnectMessages()
        ib.RaiseRequestErrors = True
        ib.TimezoneTWS = self._gateway.zone.key
        attempt = asyncio.ensure_future(
            ib.connectAsync(
                self._gateway.host,
                self._gateway.port,
                clientId=number,
                timeout=self._greeting,
                readonly=True,
                account=self._gateway.account or "",
                fetchFields=StartupFetchNONE,
            )
        )
        ib.errorEvent += messages.error
        ib.client.apiError += messages.ended(attempt)
        ib.errorEvent += self._error
        ib.disconnectedEvent += self._lost
        ib.client.conn.hasData += self._limit(ib)
        self._ib = ib
        try:
            await attempt
        except (OSError, TimeoutError, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and not messages.has_ended:
                self._drop()
                raise  # our own task was cancelled
            self._drop()
            return self._failed(error, messages)
        self.machine.connected()
        for code, text in messages.notices:
            self.machine.process_code(code, text)
        return "", False

    def _failed(self, error: BaseException, messages: _ConnectMessages) -> tuple[str, bool]:
        if messages.code == _NUMBER_TAKEN:
            self.machine.disconnected(f"no client number is free: {messages.text}")
            return self.machine.reason, True
        if isinstance(error, TimeoutError):
            self.machine.not_greeted(f"{self._gateway} sends no handshake within {self._greeting:g} s")
        else:
            why = messages.text or messages.last or f"{type(error).__name__}: {error}"
            self.machine.disconnected(f"{self._gateway}: {why}")
        return self.machine.reason, False

    def _error(self, request: int, code: int, text: str, _contract: object) -> None:
        if code == _VALIDATION and (waiting := self._rejected.get(request)) is not None and not waiting.done():
            from ib_async.wrapper import RequestError

            waiting.set_exception(RequestError(request, code, text))
        if request == -1 and self.machine.process_code(code, text):
            self._on_change()
        self._on_error(request, code, text)

    def _limit(self, ib: IB) -> Callable[[bytes], None]:
        """Ends a connection whose next message is too long; called after the library has taken its data."""

        def check(_data: bytes) -> None:
            waiting, transport = ib.client._data, ib.client.conn.transport  # noqa: SLF001 - it has no limit of its own
            is_too_long = len(waiting) >= _PREFIX and int.from_bytes(waiting[:_PREFIX], "big") > LARGEST_MESSAGE
            if is_too_long and transport is not None:
                ib.client._data = b""  # noqa: SLF001
                transport.abort()
                ib.client.apiError.emit(f"a message of more than {LARGEST_MESSAGE} bytes; the connection was closed")

        return check

    def _lost(self) -> None:
        self.machine.disconnected("the gateway has closed the connection")
        self._on_change()


class _ConnectMessages:
    """Messages received while connecting, so that the reason of a failure is known."""

    def __init__(self) -> None:
        self.code: int | None = None
        self.text = ""
        self.last = ""
        self.has_ended = False
        self.notices: list[tuple[int, str]] = []

    def error(self, request: int, code: int, text: str, _contract: object) -> None:
        if request == -1:
            self.notices.append((code, text))
        if verdict_of(code, text) is not Verdict.NOTICE:
            self.code, self.text = code, f"{code}: {text}"

    def ended(self, attempt: asyncio.Future[Any]) -> Callable[[str], None]:
        """Ends an attempt after its connection was closed; the library would wait for the timeout."""

        def cancel(message: str) -> None:
            if not self.has_ended:  # later messages tell of the ending itself
                self.last, self.has_ended = message, True
                attempt.cancel()

        return cancel
