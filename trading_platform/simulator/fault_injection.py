"""Delivers the local exchange's live messages to one connection, with injected faults."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from trading_platform.simulator.faults import CONNECTION_FAULTS, MESSAGE_FAULTS, Fault, FaultInjector
from trading_platform.simulator.market import SECOND

_UNKNOWN_MESSAGE = '{"channel":"weather","type":"update","data":[{"symbol":"BTC/USD","outlook":"fair"}]}'


@dataclass
class _Held:
    """A message that is held back until so many later ones have been sent, at the latest until a given time."""

    text: str
    places: int
    until: int


class Delivery:
    """Delivers messages to one connection, with the faults of the injector.

    Args:
        send: writes a text message to the connection.
        reset: ends the connection without a close.
        injector: chooses the faults.
    """

    def __init__(
        self, send: Callable[[str], Awaitable[None]], reset: Callable[[], None], injector: FaultInjector
    ) -> None:
        self._send = send
        self._reset = reset
        self._injector = injector
        self._held: list[_Held] = []
        self.is_silent = False
        """Whether the connection has stalled or was reset: nothing more is sent on it."""

    async def send(self, text: str) -> None:
        """Sends a message that is never broken by itself: responses to requests, the status."""
        if not self.is_silent:
            await self._send(text)

    async def heartbeat(self, text: str) -> None:
        """Sends a heartbeat, unless a fault breaks the connection."""
        await self._connection(self._injector.draw(CONNECTION_FAULTS))
        await self.send(text)

    async def send_event(self, text: str, now: int) -> None:
        """Sends a message with trades or a quote, unless a fault breaks it.

        Args:
            text: the message.
            now: the exchange's time, nanoseconds.
        """
        fault = self._injector.draw(MESSAGE_FAULTS)
        faults = self._injector.faults
        latest = now + int(faults.late_seconds * SECOND)
        await self._connection(fault)
        match fault:
            case Fault.REORDER:
                self._held.append(_Held(text, self._injector.places(), latest))
                return
            case Fault.LATE:
                self._held.append(_Held(text, 2**31, latest))
                return
            case Fault.DUPLICATE:
                await self.send(text)
            case Fault.UNKNOWN:
                await self.send(_UNKNOWN_MESSAGE)
            case Fault.MALFORMED:
                text = text[: len(text) // 2]
        await self.send(text)
        for held in self._held:
            held.places -= 1
        await self.release(now)

    async def release(self, now: int) -> None:
        """Sends the messages that have been held back long enough at ``now`` (nanoseconds)."""
        due = [held for held in self._held if held.places <= 0 or held.until <= now]
        self._held = [held for held in self._held if held.places > 0 and held.until > now]
        for held in due:
            await self.send(held.text)

    async def _connection(self, fault: Fault | None) -> None:
        match fault:
            case Fault.STALL:
                self.is_silent = True
            case Fault.RESET if not self.is_silent:
                self.is_silent = True
                self._reset()
            case Fault.LAG:
                await asyncio.sleep(self._injector.faults.slow_seconds)
