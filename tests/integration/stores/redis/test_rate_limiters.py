"""The budget in Redis: processes that share it, are killed, lose Redis, and find it again."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from processes import REPOSITORY, environment
from redis import Redis
from redis_servers import await_written, flush, started
from slots import holds
from waiting import DEADLINE

from trading_platform.embedded.redis import RedisServer
from trading_platform.sources.rate_limits import Cost, Limit, LocalRateLimiter, Rate, Within
from trading_platform.stores.redis.rate_limiters import RETRY_SECONDS, RedisRateLimiter

RATE = Rate("test:rate", 20, 5)
WITHIN = Within("test:within", 12, 0.5)
LOG = Within("test:log", 1_000_000, 3600)
"""Never full: its book tells every slot that was given."""

WORKER = """
import itertools, json, os, sys, time
from trading_platform.sources.rate_limits import Cost, LocalRateLimiter, Rate, Within
from trading_platform.stores.redis.rate_limiters import RedisRateLimiter
url, seconds = sys.argv[1], float(sys.argv[2])
limits = Rate("test:rate", 20, 5), Within("test:within", 12, 0.5), Within("test:log", 1_000_000, 3600)
budget = RedisRateLimiter(url, LocalRateLimiter())
budget.take([Cost(Within("test:warm", 1000, 1), "k")])
print("ready", flush=True)
sys.stdin.readline()
until = time.monotonic() + seconds
for number in itertools.count():
    began, own = time.time(), f"{os.getpid()} {number}"
    waited = budget.take([*(Cost(limit, "account") for limit in limits), Cost(limits[-1], own)])
    print(json.dumps([time.time(), began + waited, waited, own]), flush=True)
    if time.monotonic() > until:
        break
"""


def given(client: Redis, limit: Limit, key: str) -> list[float]:
    """The slots in a book of Redis, seconds since 1970."""
    _, _, _, *slots = client.hget(f"limit:{limit.name}:{key}", "book").split()
    return [
        int(timestamp) / 1e6
        for timestamp, weight in zip(slots[::2], slots[1::2], strict=True)
        for _ in range(int(weight))
    ]


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """A Redis that may be killed."""
    with tempfile.TemporaryDirectory(prefix="tp-") as folder:
        server = started(RedisServer(Path(folder)))
        yield server
        server.remove()


@pytest.fixture
def client(server: RedisServer) -> Iterator[Redis]:
    server.ensure_running()
    with Redis.from_url(server.url(), decode_responses=True) as client:
        flush(client)
        yield client


def move(client: Redis, limit: Limit, key: str, seconds: float) -> None:
    """Makes it so much later, or earlier, in a book of Redis."""
    name, micros = f"limit:{limit.name}:{key}", round(seconds * 1e6)
    seen, level, at, *slots = client.hget(name, "book").split()
    moved = [str(int(number) + micros) if place % 2 == 0 else number for place, number in enumerate(slots)]
    client.hset(name, "book", " ".join([str(int(seen) + micros), level, str(int(at) + micros), *moved]))


class Time:
    """A clock that only sleeping and the test move."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def kill(server: RedisServer) -> None:
    with Redis.from_url(server.url()) as client:
        await_written(client)
    process = server.running()
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    process.wait(DEADLINE)


@pytest.mark.exhaustive
def test_processes_keep_the_limit_together_whoever_is_killed(server: RedisServer, client: Redis):
    seconds = float(os.environ.get("TEST_BUDGET_SECONDS", "4"))
    command = [sys.executable, "-c", WORKER, server.url(), str(seconds)]
    workers = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, env=environment()
        )
        for _ in range(6)
    ]
    assert [worker.stdout.readline() for worker in workers] == ["ready\n"] * 6
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    victim = [workers[0].stdout.readline() for _ in range(3)]
    workers[0].kill()
    said = [worker.communicate(timeout=seconds + DEADLINE)[0].splitlines() for worker in workers]
    said[0] = [*victim, *said[0]]
    lines = [[json.loads(line) for line in own] for own in said]
    assert min(map(len, lines)) > 0
    slots = given(client, LOG, "account")
    assert holds(RATE, slots)
    assert holds(WITHIN, slots)
    taken = [timestamp for own in lines for timestamp, *_ in own]
    late = max(timestamp - due for own in lines for timestamp, due, *_ in own)
    assert min(timestamp - due for own in lines for timestamp, due, *_ in own) > -0.01, "somebody went before the slot"
    assert holds(RATE, taken, late)
    assert holds(WITHIN, taken, late)
    assert len(taken) <= len(slots) <= len(taken) + 6
    assert [worker.returncode for worker in workers] == [-signal.SIGKILL, 0, 0, 0, 0, 0]
    assert max(waited for own in lines for _, _, waited, _ in own) < 0.6, "with six who ask, a turn of all lasts 0.3 s"
    for timestamp, waited in ((given(client, LOG, own)[0], waited) for each in lines for _, _, waited, own in each):
        before = [slot for slot in slots if slot < timestamp]
        for part in (0.1, 0.5, 0.9) if waited > 0.01 else ():
            earlier = [*before, timestamp - part * waited]
            assert not (holds(RATE, earlier) and holds(WITHIN, earlier)), "a slot was left unused"


def test_slots_of_mixed_requests_keep_every_limit_and_are_the_first_that_do(client: Redis, server: RedisServer):
    """Requests that take of several limits, heavier and lighter, none waiting: what Redis gave, by definition."""
    rate_limiter = RedisRateLimiter(server.url(), LocalRateLimiter(), sleep=lambda _: None)
    same = Within("test:same", 1, 3)
    slots: dict[tuple[Limit, str], list[float]] = {}
    waits = []
    for number in range(70):
        contract = f"contract {number % 8}"
        wanted = [Cost(WITHIN, "mixed")] if number % 4 == 0 else [Cost(RATE, "mixed", 1 + number % 3)]
        wanted += [Cost(same, contract)] if number % 4 == 0 else [Cost(WITHIN, "mixed", 1 + number % 3)]
        waits.append(rate_limiter.take([*wanted, Cost(LOG, str(number))]))
        (timestamp,) = given(client, LOG, str(number))
        asked = int(client.hget(f"limit:test:log:{number}", "book").split()[0]) / 1e6
        for part in (0.0, 0.4, 0.8, 1.0) if waits[-1] > 0 else ():
            earlier = asked + part * (timestamp - asked - 1e-5)
            fits = [
                holds(each.limit, slots.get((each.limit, each.key), []) + [earlier] * each.weight) for each in wanted
            ]
            assert not all(fits), "an earlier slot would have done"
        for each in wanted:
            slots.setdefault((each.limit, each.key), []).extend([timestamp] * each.weight)
            assert holds(each.limit, slots[each.limit, each.key])
    assert len(slots) == 4
    assert max(waits) > 3


def test_keys_do_not_disturb_each_other_and_vanish_when_full(client: Redis, server: RedisServer):
    rate_limiter = RedisRateLimiter(server.url(), LocalRateLimiter(), sleep=lambda _: None)
    rate = Rate("test:slow", 1 / 1000, 1)
    assert [rate_limiter.take([Cost(rate, key)]) for key in ("one", "two", "three")] == [0, 0, 0]
    assert 0 < rate_limiter.take([Cost(rate, "one")]) <= 1000
    one, _, two = rate_limiter.standings()
    assert (one.limit, one.key, one.waiting) == (rate, "one", 1)
    assert (two.limit, two.key, two.waiting) == (rate, "two", 0)
    assert two.left < 0.9
    assert two.full_at is not None
    assert timedelta() < two.full_at - datetime.now(UTC) <= timedelta(seconds=1000)
    assert 0 < client.pttl("limit:test:slow:two") <= 1_001_000
    assert client.pttl("limit:test:slow:one") > 1_001_000, "of which more was promised"
    move(client, rate, "two", -1000)
    assert {each.key: each.left for each in rate_limiter.standings()}["two"] == 1
    client.pexpire("limit:test:slow:two", 0)
    assert "two" not in {each.key for each in rate_limiter.standings()}


def test_what_never_fits_is_an_error_and_takes_nothing(client: Redis, server: RedisServer):
    rate_limiter = RedisRateLimiter(server.url(), LocalRateLimiter())
    with pytest.raises(ValueError, match="test:within"):
        rate_limiter.take([Cost(RATE, "k"), Cost(WITHIN, "k", 13)])
    assert client.keys() == []


def test_a_clock_set_back_neither_forgets_nor_stops(client: Redis, server: RedisServer):
    waits: list[float] = []
    rate_limiter = RedisRateLimiter(server.url(), LocalRateLimiter(), sleep=waits.append)
    rate = Rate("test:clock", 1 / 1000, 2)
    rate_limiter.take([Cost(rate, "k"), Cost(WITHIN, "k")])
    rate_limiter.take([Cost(rate, "k"), Cost(WITHIN, "k")])
    for limit in (rate, WITHIN):  # as the clock that was set back left it
        move(client, limit, "k", 3600)
    wait = rate_limiter.take([Cost(rate, "k"), Cost(WITHIN, "k")])
    assert 900 <= wait <= 1000
    assert waits == [wait]


def test_a_restart_of_redis_gives_nothing_back(client: Redis, server: RedisServer):
    rate_limiter = RedisRateLimiter(server.url(), LocalRateLimiter())
    slow = Rate("test:restart", 1 / 6000, 3)
    interval = Within("test:restart too", 3, 6000)
    for _ in range(3):
        assert rate_limiter.take([Cost(slow, "k"), Cost(interval, "k")]) == 0
    before = given(client, interval, "k")
    kill(server)
    server.ensure_running()
    assert given(client, interval, "k") == before
    waits: list[float] = []
    force = RedisRateLimiter(server.url(), LocalRateLimiter(), sleep=waits.append)
    assert 5800 < force.take([Cost(slow, "k"), Cost(interval, "k")]) <= 6000
    rate_limiter.close()


@pytest.mark.exhaustive
def test_without_redis_a_process_goes_on_at_a_quarter_and_owes_what_it_took(
    client: Redis, server: RedisServer, caplog: pytest.LogCaptureFixture
):
    clock = Time()
    rate = Rate("test:away", 1 / 1000, 8)
    rate_limiter = RedisRateLimiter(
        server.url(), LocalRateLimiter(monotonic=clock.monotonic), monotonic=clock.monotonic, sleep=clock.sleep
    )
    assert rate_limiter.take([Cost(rate, "k")]) == 0
    kill(server)
    with caplog.at_level(logging.WARNING):
        for _ in range(6):
            rate_limiter.take([Cost(rate, "k")])
    assert clock.now == pytest.approx(6 * 4000), "six at one in 4,000 s, with nothing left at the beginning"
    assert len([record for record in caplog.records if "cannot be shared" in record.message]) == 1
    server.ensure_running()
    flush(client)  # as a Redis that keeps nothing
    clock.now += RETRY_SECONDS
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        rate_limiter.take([Cost(rate, "k")])
    assert [record.message for record in caplog.records] == ["Redis answers again: limits of sources are shared again."]
    (standing,) = rate_limiter.standings()
    assert standing.left < 3, "what was taken meanwhile is not known"
    assert rate_limiter.take([Cost(rate, "k")]) == 0


@pytest.mark.exhaustive
def test_who_waits_long_without_redis_goes_on_as_soon_as_it_is_back(client: Redis, server: RedisServer):
    clock, pauses = Time(), []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            server.ensure_running()
        clock.sleep(seconds)

    pacing = Within("test:pacing", 60, 600)
    rate_limiter = RedisRateLimiter(
        server.url(), LocalRateLimiter(monotonic=clock.monotonic), monotonic=clock.monotonic, sleep=sleep
    )
    assert rate_limiter.take([Cost(pacing, "k")]) == 0
    kill(server)
    waited = rate_limiter.take([Cost(pacing, "k")])
    assert waited == clock.now == pytest.approx(3 * RETRY_SECONDS), "alone it would have waited for ten minutes"
    assert len(given(client, pacing, "k")) == 2


@pytest.mark.exhaustive
@pytest.mark.usefixtures("client")
def test_a_redis_that_hangs_is_taken_for_away(server: RedisServer):
    asked: list[int] = []

    class Counted(RedisRateLimiter):
        def _reserve(self, costs: Sequence[Cost]) -> float:
            asked.append(len(costs))
            return super()._reserve(costs)

    clock = Time()
    rate = Rate("test:hang", 100, 8)
    rate_limiter = Counted(
        server.url(), LocalRateLimiter(monotonic=clock.monotonic), monotonic=clock.monotonic, sleep=clock.sleep
    )
    process = server.running()
    assert process is not None
    process.suspend()
    try:
        rate_limiter.take([Cost(rate, "k")])
        rate_limiter.take([Cost(rate, "k")])
        assert asked == [1], "it is left alone after it did not answer"
        assert clock.now < RETRY_SECONDS
    finally:
        process.resume()
