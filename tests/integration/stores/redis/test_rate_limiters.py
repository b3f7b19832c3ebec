"""The budget in Redis: processes that share it, are killed, lose Redis, and find it again."""

from __future__ import annotations

import itertools
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from processes import REPOSITORY, environment
from redis import Redis

from trading_platform.embedded.redis import RedisServer
from trading_platform.sources.rate_limits import Cost, Limit, LocalRateLimiter, Rate, Within
from trading_platform.stores.redis.rate_limiters import RedisRateLimiter

RATE = Rate("test:rate", 20, 5)
WITHIN = Within("test:within", 12, 0.5)
LOG = Within("test:log", 1_000_000, 3600)
"""Never full: its book tells every slot that was given."""

WORKER = """
import json, sys, time
from trading_platform.sources.rate_limits import Cost, LocalRateLimiter, Rate, Within
from trading_platform.stores.redis.rate_limiters import RedisRateLimiter
url, seconds = sys.argv[1], float(sys.argv[2])
limits = Rate("test:rate", 20, 5), Within("test:within", 12, 0.5), Within("test:log", 1_000_000, 3600)
budget = RedisRateLimiter(url, LocalRateLimiter())
budget.take([Cost(Within("test:warm", 1000, 1), "k")])
print("ready", flush=True)
sys.stdin.readline()
until = time.monotonic() + seconds
while time.monotonic() < until:
    began = time.time()
    waited = budget.take([Cost(limit, "account") for limit in limits])
    print(json.dumps([time.time(), began + waited, waited]), flush=True)
"""


def holds(limit: Limit, timestamps: Sequence[float], late: float = 0.0) -> bool:
    """Whether moments keep a limit over every span, if each can be seen up to so many seconds late."""
    ordered = sorted(timestamps)
    for first, last in itertools.combinations(range(len(ordered)), 2):
        taken, span = last - first + 1, ordered[last] - ordered[first] + late
        if isinstance(limit, Rate):
            if taken > limit.burst + limit.per_second * span + 1e-4:
                return False
        elif span < limit.seconds - 1e-6 and taken > limit.count:
            return False
    return True


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
        server = RedisServer(Path(folder))
        server.ensure_running()
        yield server
        server.remove()


@pytest.fixture
def client(server: RedisServer) -> Iterator[Redis]:
    server.ensure_running()
    with Redis.from_url(server.url(), decode_responses=True) as client:
        client.flushall()
        yield client


def kill(server: RedisServer) -> None:
    process = server.running()
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)


def test_processes_keep_the_limit_together_whoever_is_killed(server: RedisServer, client: Redis):
    seconds = float(os.environ.get("BUDGET_TEST_SECONDS", "4"))
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
    threading.Timer(seconds / 2, workers[0].kill).start()
    lines = [
        [json.loads(line) for line in worker.communicate(timeout=seconds + 30)[0].splitlines()] for worker in workers
    ]
    slots = given(client, LOG, "account")
    assert holds(RATE, slots)
    assert holds(WITHIN, slots)
    taken = [timestamp for own in lines for timestamp, *_ in own]
    late = max(timestamp - due for own in lines for timestamp, due, _ in own)
    assert late < 5
    assert holds(RATE, taken, late)
    assert holds(WITHIN, taken, late)
    assert len(taken) <= len(slots) <= len(taken) + 6
    assert [worker.returncode for worker in workers] == [-signal.SIGKILL, 0, 0, 0, 0, 0]
    span = max(slots) - min(slots)
    assert len(slots) >= 0.7 * (RATE.burst + RATE.per_second * span), "slots were left unused"
    assert max(wait for own in lines for _, _, wait in own) < 0.6, "with six who ask, a turn of all lasts 0.3 s"
    assert min(map(len, lines)) > 0


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
    rate_limiter = RedisRateLimiter(server.url(), LocalRateLimiter())
    rate = Rate("test:short", 2, 1)
    assert [rate_limiter.take([Cost(rate, key)]) for key in ("one", "two", "three")] == [0, 0, 0]
    assert 0 < rate_limiter.take([Cost(rate, "one")]) <= 0.5
    (one, *_) = rate_limiter.standings()
    assert (one.limit, one.key, one.waiting) == (rate, "one", 0)
    assert one.left < 0.9
    assert one.full_at is not None
    assert timedelta() < one.full_at - datetime.now(UTC) <= timedelta(seconds=0.5)
    assert 0 < client.pttl("limit:test:short:one") <= 1_500
    client.pexpire("limit:test:short:two", 1)
    time.sleep(0.55)
    assert {each.key: each.left for each in rate_limiter.standings()}["one"] == 1
    assert "two" not in {each.key for each in rate_limiter.standings()}


def test_what_never_fits_is_an_error_and_takes_nothing(client: Redis, server: RedisServer):
    rate_limiter = RedisRateLimiter(server.url(), LocalRateLimiter())
    with pytest.raises(ValueError, match="test:within"):
        rate_limiter.take([Cost(RATE, "k"), Cost(WITHIN, "k", 13)])
    assert client.keys() == []


def test_a_clock_set_back_neither_forgets_nor_stops(client: Redis, server: RedisServer):
    waits: list[float] = []
    rate_limiter = RedisRateLimiter(server.url(), LocalRateLimiter(), sleep=waits.append)
    rate = Rate("test:clock", 1, 2)
    rate_limiter.take([Cost(rate, "k"), Cost(WITHIN, "k")])
    rate_limiter.take([Cost(rate, "k"), Cost(WITHIN, "k")])
    for limit in (rate, WITHIN):  # an hour ahead: as the clock that was set back left it
        key = f"limit:{limit.name}:k"
        seen, level, at, *slots = client.hget(key, "book").split()
        hour = 3_600_000_000
        moved = [str(int(number) + hour) if place % 2 == 0 else number for place, number in enumerate(slots)]
        client.hset(key, "book", " ".join([str(int(seen) + hour), level, str(int(at) + hour), *moved]))
    wait = rate_limiter.take([Cost(rate, "k"), Cost(WITHIN, "k")])
    assert 0.9 <= wait <= 1.0
    assert waits == [wait]


def test_a_restart_of_redis_gives_nothing_back(client: Redis, server: RedisServer):
    rate_limiter = RedisRateLimiter(server.url(), LocalRateLimiter())
    slow = Rate("test:restart", 1 / 600, 3)
    interval = Within("test:restart too", 3, 600)
    for _ in range(3):
        assert rate_limiter.take([Cost(slow, "k"), Cost(interval, "k")]) == 0
    before = given(client, interval, "k")
    kill(server)
    server.ensure_running()
    assert given(client, interval, "k") == before
    waits: list[float] = []
    force = RedisRateLimiter(server.url(), LocalRateLimiter(), sleep=waits.append)
    assert 580 < force.take([Cost(slow, "k"), Cost(interval, "k")]) <= 600
    rate_limiter.close()


def test_without_redis_a_process_goes_on_at_a_quarter_and_owes_what_it_took(
    client: Redis, server: RedisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("trading_platform.stores.redis.rate_limiters.RETRY_SECONDS", 0.3)
    rate = Rate("test:away", 20, 8)
    rate_limiter = RedisRateLimiter(server.url(), LocalRateLimiter())
    assert rate_limiter.take([Cost(rate, "k")]) == 0
    kill(server)
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        for _ in range(6):
            rate_limiter.take([Cost(rate, "k")])
    assert time.monotonic() - began >= 6 / 5, "six at 5 a second, with nothing left at the beginning"
    assert len([record for record in caplog.records if "cannot be shared" in record.message]) == 1
    server.ensure_running()
    client.flushall()  # as a Redis that keeps nothing
    time.sleep(0.35)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        rate_limiter.take([Cost(rate, "k")])
    assert [record.message for record in caplog.records] == ["Redis answers again: limits of sources are shared again."]
    (standing,) = rate_limiter.standings()
    assert standing.left < 3, "what was taken meanwhile is not known"
    assert rate_limiter.take([Cost(rate, "k")]) == 0


def test_who_waits_long_without_redis_goes_on_as_soon_as_it_is_back(
    client: Redis, server: RedisServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("trading_platform.stores.redis.rate_limiters.RETRY_SECONDS", 0.3)
    pacing = Within("test:pacing", 60, 600)
    rate_limiter = RedisRateLimiter(server.url(), LocalRateLimiter())
    assert rate_limiter.take([Cost(pacing, "k")]) == 0
    kill(server)
    threading.Timer(1.0, server.ensure_running).start()
    assert 0.5 < rate_limiter.take([Cost(pacing, "k")]) < 20, "alone it would have waited for ten minutes"
    assert len(given(client, pacing, "k")) == 2


@pytest.mark.usefixtures("client")
def test_a_redis_that_hangs_is_taken_for_away(server: RedisServer):
    rate = Rate("test:hang", 100, 8)
    rate_limiter = RedisRateLimiter(server.url(), LocalRateLimiter())
    process = server.running()
    assert process is not None
    process.suspend()
    try:
        began = time.monotonic()
        rate_limiter.take([Cost(rate, "k")])
        rate_limiter.take([Cost(rate, "k")])
        assert 2 <= time.monotonic() - began < 10
    finally:
        process.resume()
