"""A simulated month of the live process with a fault each hour: no bar is lost, doubled or wrong, and nobody helps.

``TEST_SOAK_HOURS`` says how many hours (720 are a month), ``TEST_SOAK_SEED`` which faults, ``TEST_SOAK_KINDS`` of which
kinds; ``-s`` shows what happens.
Time passes faster for exchange and process alike, and faster still while nothing is wrong (soak/clock.py): a fault is
healed at the pace at which timers go, so that no wait is longer or shorter than it would be, and the rest of the hour
is not waited for.
"""

from __future__ import annotations

import os
import random
import re
import time
from datetime import UTC, datetime, timedelta

import pytest
from soak import exchange_faults, process_faults, store_faults, wire_faults
from soak.kinds import Kind
from soak.platform import SYMBOLS, SoakPlatform, soak_platform
from soak.verdict import Survived, differing_bars, ended_since, repeated_lines, table

from trading_platform.domain.time import Window
from trading_platform.simulator.seeded import SeededMarket

HOURS = int(os.environ.get("TEST_SOAK_HOURS", "3"))
SEED = int(os.environ.get("TEST_SOAK_SEED", "1"))
ONLY = os.environ.get("TEST_SOAK_KINDS", "")
"""A regular expression of the kinds to draw from."""
MONTH = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
KINDS: tuple[Kind, ...] = (
    *process_faults.KINDS,
    *wire_faults.KINDS,
    *store_faults.KINDS,
    *exchange_faults.KINDS,
)


def drawn(hours: int, seed: int, kinds: list[Kind]) -> list[Kind]:
    """The faults of so many hours: every kind once before any comes again, in an order that the seed decides."""
    chance, found = random.Random(seed), []
    while len(found) < hours:
        found += chance.sample(kinds, len(kinds))
    return found[:hours]


def last_event(platform: SoakPlatform) -> int:
    return int(platform.rows("SELECT coalesce(max(id), 0) FROM audit.system_events")[0][0])


def outages_of(platform: SoakPlatform) -> list[tuple[object, ...]]:
    return platform.rows(
        "SELECT symbol, down_at, up_at, reason, note FROM market_data.outages ORDER BY down_at, symbol"
    )


def survive(platform: SoakPlatform, hour: int, kind: Kind) -> Survived:
    before = last_event(platform)
    kind.inflict(platform)
    since = platform.clock()

    def untold() -> str:
        missing = not kind.shows & ended_since(platform, before)
        return f"of {kind.name} no event has begun and ended: {sorted(kind.shows)}" if missing else ""

    healed = platform.heal(since, untold)
    events = ended_since(platform, before)
    print(f"{hour + 1:>4} {kind.name:<34} {healed.total_seconds():>6.0f} s  {', '.join(sorted(events))}", flush=True)  # noqa: T201
    return Survived(hour, kind.name, healed, events)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_every_hour_a_fault_and_no_bar_is_lost() -> None:
    market = SeededMarket(SEED, SYMBOLS, trades_per_minute=4)
    with soak_platform(SEED, MONTH - timedelta(minutes=10), market) as platform:
        kinds = [each for each in KINDS if (platform.disk or not each.needs_disk) and re.search(ONLY, each.name)]
        platform.heal(platform.clock() + timedelta(minutes=1))
        platform.pass_until(MONTH)
        survived, began = [], time.monotonic()
        for hour, kind in enumerate(drawn(HOURS, SEED, kinds)):
            survived.append(survive(platform, hour, kind))
            platform.pass_until(MONTH + (hour + 1) * HOUR)
        platform.pass_until(platform.clock() + timedelta(minutes=2))
        platform.heal(platform.clock())
        took = time.monotonic() - began
        ((until,),) = platform.rows("SELECT min(until) FROM market_data.stream_positions")
        counted, differing = differing_bars(platform, market, Window(MONTH, until))
        lines, repeated = repeated_lines(platform.logs)
        pace = f"{HOURS} hours in {took:.0f} s ({took / HOURS:.1f} s an hour)"
        bars = f"bars {counted}, {len(differing)} lost, doubled or wrong"
        print(f"\n{table(survived)}\n{pace}; {bars}; {lines} lines of the log, {len(repeated)} too many")  # noqa: T201
        assert not differing, "\n".join([*differing[:20], *map(str, outages_of(platform))])
        assert not repeated, "\n".join(repeated[:20])
