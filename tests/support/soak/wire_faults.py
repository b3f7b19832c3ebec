"""Faults of the wire between the live process and the exchange."""

from __future__ import annotations

from soak.kinds import kind
from soak.platform import SoakPlatform
from soak.wire import Flow


@kind("connection cut", "feed_down")
def cut(platform: SoakPlatform) -> None:
    platform.live.cut()


@kind("connection reset", "feed_down")
def reset(platform: SoakPlatform) -> None:
    platform.live.cut(reset=True)


@kind("connection half-open", "feed_down")
def half_open(platform: SoakPlatform) -> None:
    platform.live.forget()


@kind("connection stalled", "feed_down")
def stalled(platform: SoakPlatform) -> None:
    platform.live.set_flow(Flow.STALL)
    platform.last(platform.chance.uniform(0.5, 1.5))
    platform.live.set_flow(Flow.USUAL)


@kind("connection drips", "feed_down")
def drips(platform: SoakPlatform) -> None:
    platform.live.set_flow(Flow.DRIP)
    platform.last(platform.chance.uniform(0.5, 1.5))
    platform.live.set_flow(Flow.USUAL)


@kind("exchange away", "feed_down")
def away(platform: SoakPlatform) -> None:
    platform.live.refuse()
    platform.rest.refuse()
    platform.last(platform.chance.uniform(0.5, 3))
    platform.live.accept()
    platform.rest.accept()


KINDS = (cut, reset, half_open, stalled, drips, away)
