"""Faults of the exchange: what it sends, what it answers, and what time it has."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import timedelta

from hostile_content import TOKENS
from hostile_server import endless, hostile_server, redirect, response

from soak.clock import PACE
from soak.kinds import Kind, kind
from soak.platform import SoakPlatform
from soak.wire import text_frame
from trading_platform.simulator.faults import Fault, Faults

_LAG = 8.0
"""Seconds for which an exchange that lags sends nothing."""

REPAIR = "repair:kraken"
MOST_MINUTES = 8.0
"""Requests are answered badly until a repair has failed for it: each tries five times."""


def _messages(name: str, fault: Fault, share: float, *shows: str) -> Kind:
    """Some of its live messages are faulty for a while."""

    @kind(name, *shows)
    def inflict(platform: SoakPlatform) -> None:
        seed = platform.chance.randrange(1000)
        platform.set_faults(Faults(probability={fault: share}, late_seconds=30, slow_seconds=_LAG / PACE, seed=seed))
        platform.last(platform.chance.uniform(0.5, 1.5))
        platform.set_faults(Faults())

    return inflict


@kind("messages lost", "feed_down")
def lost(platform: SoakPlatform) -> None:
    platform.live.lose(platform.chance.randrange(1, 10))
    platform.last(2)


@kind("hostile messages", "messages_rejected")
def hostile_messages(platform: SoakPlatform) -> None:
    platform.live.forge([text_frame(content) for content in _invalid(platform)])
    platform.last(0.5)


@kind("a trade of the future", "clocks_differ", "messages_rejected")
def future_trade(platform: SoakPlatform) -> None:
    ahead = platform.chance.choice((timedelta(seconds=20), timedelta(hours=1), timedelta(days=365 * 7000)))
    time = (platform.clock() + ahead).isoformat().replace("+00:00", "Z")
    platform.live.forge([text_frame(_trade(platform.chance.randrange(1, 10**12), f'"{time}"'))])
    platform.last(0.5)


@kind("malformed frames", "feed_down")
def malformed_frames(platform: SoakPlatform) -> None:
    platform.live.forge([platform.chance.randbytes(platform.chance.randrange(2, 200)) for _ in range(5)])
    platform.last(0.5)


def _invalid(platform: SoakPlatform) -> Iterable[bytes]:
    """Messages of which none can be used, however they are read."""
    for token in TOKENS:
        yield token
        yield b'{"channel":"trade","type":"update","data":' + token + b"}"
        yield _trade(7, '"2026-11-25T12:00:00Z"', price=token)
        yield b'{"channel":"ticker","type":"update","data":[{"symbol":' + token + b"}]}"
    yield _trade(7, '"yesterday"')
    yield _trade(2**70, '"2026-11-25T12:00:00Z"')
    yield json.dumps({"method": "subscribe", "success": False, "error": "no such pair", "symbol": "BTC/USD"}).encode()
    yield platform.chance.randbytes(100)


def _trade(number: int, time: str, price: bytes = b"64000.1") -> bytes:
    row = b'{"symbol":"BTC/USD","side":"buy","price":%b,"qty":-1,"ord_type":"limit","trade_id":%d,"timestamp":%b}'
    row = row if price != b"64000.1" else row.replace(b"-1", b"0.5")
    return b'{"channel":"trade","type":"update","data":[' + row % (price, number, time.encode()) + b"]}"


def _answers(name: str, answer: Callable[[bytes], Iterable[bytes]]) -> Kind:
    """Its requests are answered like this for a while, in which there is something to repair."""

    @kind(name, "repair_failing")
    def inflict(platform: SoakPlatform) -> None:
        with hostile_server(answer) as server:
            platform.rest.target = server.port
            platform.rest.cut()
            platform.live.lose(platform.chance.randrange(1, 4))
            platform.last(platform.chance.uniform(0.5, 1))
            platform.last_until_begun(REPAIR, MOST_MINUTES)
            platform.rest.target = platform.exchange_port
            platform.rest.cut()

    return inflict


def _rest_fault(name: str, fault: Fault) -> Kind:
    @kind(name, "repair_failing")
    def inflict(platform: SoakPlatform) -> None:
        platform.set_faults(Faults(probability={fault: 1.0}, slow_seconds=1.0))
        platform.live.lose(platform.chance.randrange(1, 4))
        platform.last(platform.chance.uniform(0.5, 1))
        platform.last_until_begun(REPAIR, MOST_MINUTES)
        platform.set_faults(Faults())

    return inflict


STEPS = (8.0, 60.0, 3_600.0)
"""By how many seconds a clock is wrong."""


def _exchange_clock(name: str, sign: int, *shows: str) -> Kind:
    @kind(name, *shows)
    def inflict(platform: SoakPlatform) -> None:
        platform.set_faults(Faults(clock_skew_seconds=sign * platform.chance.choice(STEPS)))
        platform.last(platform.chance.uniform(0.5, 1.5))
        platform.set_faults(Faults())
        platform.live.cut()  # what it sent ahead of time it does not send again, but to who asks

    return inflict


def _receiver_clock(name: str, sign: int, *shows: str) -> Kind:
    @kind(name, *shows)
    def inflict(platform: SoakPlatform) -> None:
        platform.clock.step_receiver(sign * platform.chance.choice(STEPS))
        platform.last(platform.chance.uniform(0.5, 1.5))
        platform.clock.step_receiver(0)

    return inflict


_PAGE = b"<html><body>Service Temporarily Unavailable</body></html>"

KINDS = (
    _messages("messages doubled", Fault.DUPLICATE, 0.3, "messages_repeated"),
    _messages("messages reordered", Fault.REORDER, 0.3, "messages_late"),
    _messages("messages late", Fault.LATE, 0.1, "messages_late"),
    _messages("messages cut in half", Fault.MALFORMED, 0.2, "messages_rejected"),
    _messages("exchange lags", Fault.LAG, 0.5, "feed_down"),
    lost,
    hostile_messages,
    future_trade,
    malformed_frames,
    _answers("answers 429", lambda _: response(b"", "Retry-After: 1", status="429 Too Many Requests")),
    _answers("answers 500", lambda _: response(b"", status="500 Internal Server Error")),
    _answers("answers HTML", lambda _: response(_PAGE, "Content-Type: text/html")),
    _answers("answers a redirect", lambda _: redirect("http://127.0.0.1:9/elsewhere")),
    _answers("answers without an end", lambda _: endless(b"[1," * 10_000)),
    _answers("answers deep nesting", lambda _: response(b"[" * 100_000)),
    _rest_fault("answers truncated", Fault.TRUNCATE),
    _rest_fault("answers rate limited", Fault.RATE_LIMIT),
    _exchange_clock("exchange's clock ahead", 1, "clocks_differ"),
    _exchange_clock("exchange's clock behind", -1, "clocks_differ"),
    _receiver_clock("receiver's clock ahead", 1, "clocks_differ"),
    _receiver_clock("receiver's clock behind", -1, "clocks_differ"),
)
