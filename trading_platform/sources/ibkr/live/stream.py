"""Live quotes of Interactive Brokers, and the state of the connection.

The gateway sends no heartbeats, so its time is requested each second: a response is a heartbeat, and a missing one
means that the connection is dead, closed or not. The gateway reports its own losses by codes
(:mod:`trading_platform.sources.ibkr.connection`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import ClassVar

from trading_platform.domain.errors import ConfigurationError, SourceError
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.market.live.events import FeedDown, FeedUp, Heartbeat, Quote
from trading_platform.domain.time import AsyncSleep, Clock, utc_now
from trading_platform.sources.ibkr.connection import ANSWERING, SPEAKING, Absence, ConnectionMachine, Link, Severity
from trading_platform.sources.ibkr.limits import MARKET_DATA_LINES
from trading_platform.sources.ibkr.live.subscriptions import Subscriptions
from trading_platform.sources.ibkr.maintenance import Maintenance
from trading_platform.sources.ibkr.session import Gateway, IbkrSession
from trading_platform.sources.live import Backoff, EventBuffer, answer_of, until_closing

log = logging.getLogger(__name__)

INACTIVITY_SECONDS = 10.0
"""A gateway that does not send its time for this many seconds is considered gone."""

UNNOTICED = timedelta(minutes=2)
"""How long at most the gateway may have lost the market before it reports it: an outage begins with the last tick, or
this long ago if ticks are rare."""

OnAbsence = Callable[[Absence | None], None]
"""Called once for an absence, again when it gets worse, and with None when it is over."""


def _log_absence(absence: Absence | None) -> None:
    if absence is None:
        log.warning("Interactive Brokers is available again")
    else:
        log.log(logging.ERROR if absence.severity is Severity.CRITICAL else logging.WARNING, "%s", absence)


class IbkrFeed(EventBuffer):
    """Quotes of Interactive Brokers, emitted as they change; see :class:`trading_platform.sources.live.LiveFeed`.

    Times are the receiver's, because ticks have none. If events are taken more slowly than they arrive, the quotes
    of a symbol are merged into one, the last; memory does not grow. No behaviour of a gateway makes it raise.

    Args:
        gateway: address of TWS or the gateway.
        instruments: instruments to follow.
        lines: market data lines of the account; one is used for each instrument.
        maintenance: expected downtimes of Interactive Brokers.
        clock: the receiver's clock.
        sleep: waits.
        interval: seconds between two requests for the time.
        silence: seconds without a response after which the connection is closed; also the handshake's timeout.
        backoff: the waits between attempts to connect.
        on_absence: called when Interactive Brokers is absent for longer than expected; by default that is logged.

    Raises:
        ConfigurationError: if there are more instruments than lines.
        InvalidRequest: if the exchange of an instrument is unknown.
    """

    source: ClassVar[str] = "ibkr"

    def __init__(
        self,
        gateway: Gateway,
        instruments: Iterable[Instrument],
        *,
        lines: int = MARKET_DATA_LINES,
        maintenance: Maintenance | None = None,
        clock: Clock = utc_now,
        sleep: AsyncSleep = asyncio.sleep,
        interval: float = 1.0,
        silence: float = INACTIVITY_SECONDS,
        backoff: Backoff | None = None,
        on_absence: OnAbsence = _log_absence,
    ) -> None:
        super().__init__()
        self._woken = asyncio.Event()
        self._subscriptions = Subscriptions(instruments, clock=clock, changed=self._woken.set)
        _check_lines(len(self._subscriptions.instruments), lines)
        self._clock, self._sleep = clock, sleep
        self._interval, self._silence = interval, silence
        self._backoff = backoff or Backoff()
        self._on_absence = on_absence
        self.machine = ConnectionMachine(maintenance or Maintenance(), clock=clock)
        self._session = IbkrSession(
            gateway, self.machine, on_error=self._subscriptions.error, on_change=self._woken.set, greeting=silence
        )
        self._is_up: dict[str, bool] = {}
        self._pulse: asyncio.Task[None] | None = None
        self._wait: float | None = None
        self._received = self._connected_at = self._up_since = clock()
        self._beat: datetime | None = None
        self._told: tuple[datetime, Severity] | None = None

    @property
    def symbols_down(self) -> frozenset[str]:
        """The symbols that are not fully received at present."""
        return frozenset(symbol for symbol in self._subscriptions.instruments if not self._is_up.get(symbol))

    async def close(self) -> None:
        """Ends the feed; events not yet taken are still emitted, then the iteration ends."""
        self._closing.set()
        await self._disconnect()

    async def _advance(self) -> None:
        """One step: wait before an attempt to connect, attempt, subscribe, or listen."""
        if self._wait is not None:
            await until_closing(self._sleep(self._wait), self._closing)
            self._wait = None
        elif not self._session.is_open:
            await self._connect()
        elif self.machine.link is Link.RESTORED_LOST or (
            self.machine.link in ANSWERING and self._subscriptions.missing()
        ):
            await self._subscribe()
        else:
            await until_closing(self._woken.wait(), self._closing)
            self._woken.clear()
        if not self._closing.is_set():
            self._emit()
            self._report_absence()

    async def _connect(self) -> None:
        await self._disconnect()
        try:
            await until_closing(self._session.open(), self._closing)
        except SourceError:
            self._wait = self._backoff.next_wait()
            log.warning("no quotes from Interactive Brokers (%s), next in %.1f s", self.machine.reason, self._wait)
            return
        if self._closing.is_set():
            await self._disconnect()
            return
        self._received = self._connected_at = self._clock()
        self._subscriptions.begin(self._session)
        self._pulse = asyncio.create_task(self._ask_for_time(), name="ibkr-feed-pulse")

    async def _disconnect(self) -> None:
        pulse, self._pulse = self._pulse, None
        if pulse is not None:
            self._backoff.ended((self._clock() - self._connected_at).total_seconds())
            pulse.cancel()
            await asyncio.gather(pulse, return_exceptions=True)
        self._subscriptions.delete()
        self._session.close()

    async def _subscribe(self) -> None:
        """Subscribes the missing symbols; after a loss, all."""
        losses = self.machine.losses
        if self.machine.link is Link.RESTORED_LOST:
            self._emit()
            self._subscriptions.cancel(self._session)
        for symbol in self._subscriptions.missing():
            await until_closing(self._subscriptions.follow(symbol, self._session), self._closing)
            if self._closing.is_set() or not self._session.is_open:
                return
        self.machine.resubscribed(losses)

    async def _ask_for_time(self) -> None:
        """Requests the time each second; closes the connection when a response is missing."""
        while True:
            await self._sleep(self._interval)
            try:
                await answer_of(self._session.ib.reqCurrentTimeAsync(), self._silence, self._sleep)
            except TimeoutError:
                self._session.close()
                self.machine.disconnected(f"silent for {self._silence:g} s")
            except (SourceError, ConnectionError):
                pass  # the session reports the reason
            else:
                self._received = self._beat = self._clock()
            self._woken.set()
            if not self._session.is_open:
                return

    def _emit(self) -> None:
        """Emits what has arrived since the last call: quotes, then the state of the link, then a heartbeat."""
        quotes = self._subscriptions.take_quotes()
        self._ready.extend(quote for quote in quotes if self._is_up.get(quote.symbol))
        self._report_link([quote for quote in quotes if not self._is_up.get(quote.symbol)])
        beat, self._beat = self._beat, None
        if beat is not None and any(self._is_up.values()) and not (quotes and quotes[-1].time > beat):
            self._ready.append(Heartbeat(beat))

    def _report_link(self, early: list[Quote]) -> None:
        """Emits which symbols have gone down or up; ``early`` are quotes of symbols not reported as up yet."""
        is_streaming = self._session.is_open and self.machine.link in SPEAKING and not self.machine.quote_farms_down
        followed = self._subscriptions.followed if is_streaming else set()
        down: dict[str, set[str]] = {}
        for symbol in set(self._subscriptions.instruments) - followed:
            # A new symbol that can be subscribed is not reported as down: its subscription follows.
            report_new = not is_streaming or self._subscriptions.rejection_of(symbol) is not None
            if self._is_up.get(symbol, report_new):
                self._is_up[symbol] = False
                down.setdefault(self._why_down(symbol), set()).add(symbol)
        since = self._last_event(is_connected=self._session.is_open and not is_streaming)
        self._ready.extend(FeedDown(since, frozenset(names), reason) for reason, names in down.items())
        up = frozenset(symbol for symbol in followed if not self._is_up.get(symbol))
        if up:
            self._is_up.update(dict.fromkeys(up, True))
            self._up_since = min([self._clock(), *(quote.time for quote in early)])
            self._ready.append(FeedUp(self._up_since, up))
            self._ready.extend(quote for quote in early if quote.symbol in up)

    def _last_event(self, *, is_connected: bool) -> datetime:
        """Since when at the latest events are missing: the gateway responds even if it has lost the market."""
        if not is_connected:
            return self._received
        ticked = self._subscriptions.last_tick or self._up_since
        return max(ticked, self._up_since, self._clock() - UNNOTICED)

    def _why_down(self, symbol: str) -> str:
        if self.machine.quote_farms_down and self.machine.link in SPEAKING:
            return f"market data farm lost: {', '.join(sorted(self.machine.quote_farms_down))}"
        rejection = self._subscriptions.rejection_of(symbol)
        return rejection if rejection is not None and self._session.is_open else self.machine.reason

    def _report_absence(self) -> None:
        absence = self.machine.absence()
        if absence is None:
            if self._told is not None:
                self._on_absence(None)
            self._told = None
        elif absence.severity is not Severity.EXPECTED and self._told != (absence.since, absence.severity):
            self._told = (absence.since, absence.severity)
            self._on_absence(absence)


def _check_lines(wanted: int, lines: int) -> None:
    if wanted > lines:
        raise ConfigurationError(
            f"{wanted} instruments are {wanted - lines} more than the account has market data lines.",
            expected=f"at most {lines}",
            received=str(wanted),
            remedy=f"follow {wanted - lines} fewer, or buy more lines and raise IBKR_MARKET_DATA_LINES",
        )
