"""Faults of the wire between the live process and the exchange."""

from __future__ import annotations

from soak.kinds import kind
from soak.platform import SoakPlatform
from soak.wire import Flow


@kind("connection cut")
def cut(platform: SoakPlatform) -> None:
    platform.live.cut()


@kind("connection reset")
def reset(platform: SoakPlatform) -> None:
    platform.live.cut(reset=True)


@kind("connection half-open")
def half_open(platform: SoakPlatform) -> None:
    platform.live.forget()


@kind("connection stalled")
def stalled(platform: SoakPlatform) -> None:
    platform.live.set_flow(Flow.STALL)
    platform.last(platform.chance.uniform(0.1, 2.5))
    platform.live.set_flow(Flow.USUAL)


@kind("connection drips")
def drips(platform: SoakPlatform) -> None:
    platform.live.set_flow(Flow.DRIP)
    platform.last(platform.chance.uniform(0.2, 2.5))
    platform.live.set_flow(Flow.USUAL)


@kind("exchange away")
def away(platform: SoakPlatform) -> None:
    platform.live.refuse()
    platform.rest.refuse()
    platform.last(platform.chance.uniform(0.5, 5))
    platform.live.accept()
    platform.rest.accept()


KINDS = (cut, reset, half_open, stalled, drips, away)
