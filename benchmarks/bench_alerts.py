"""Time from a fault that an observer reports to its message at the server that takes it, against a bare HTTP request.

Faults begin at random times, while a watch looks as ``alerts run`` does. A message is stamped when the server on
loopback has it. What is due waits for others of its cause (:data:`GATHER`), and then for the next look, so that the p99
is to stay below both together. Time is the benchmark's own between two looks: it jumps where the platform only waits;
the durations of looks and requests are measured and added. The bare request is an httpx POST to the same server, in
turns with the faults.
"""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
from common import SEED, arguments, new_stores, own_servers

from trading_platform.domain.alerts.notifications import GATHER
from trading_platform.domain.alerts.problems import Key, Level, Problem
from trading_platform.domain.severity import Severity
from trading_platform.notifiers.telegram import Telegram
from trading_platform.stores.alerts.incidents import IncidentStore
from trading_platform.stores.postgres.database import execute
from trading_platform.workflows.alerts.watch import EVERY, AlertWatch, Surroundings

ALLOWANCE = 1.0
"""Seconds beyond gathering and two looks that a message may take at the p99."""

_ANSWER = b'{"ok":true,"result":{"message_id":1}}'


class Time:
    """A clock that goes with the machine's and can be moved ahead."""

    def __init__(self) -> None:
        self._ahead = -86_400.0 * 30  # the database takes no events of the future

    def __call__(self) -> datetime:
        """The present, UTC."""
        return datetime.fromtimestamp(time.time() + self._ahead, UTC)

    def skip(self, seconds: float) -> None:
        """Lets time pass in which nothing happens."""
        self._ahead += max(seconds, 0.0)


@contextmanager
def server() -> Iterator[tuple[str, list[float]]]:
    """A server that takes every message; its address, and the monotonic time of each."""
    taken: list[float] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            taken.append(time.monotonic())
            self.send_response(200)
            self.send_header("Content-Length", str(len(_ANSWER)))
            self.end_headers()
            self.wfile.write(_ANSWER)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        serving = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield f"http://127.0.0.1:{made.server_address[1]}", taken
        finally:
            made.shutdown()
            serving.join()


def main() -> None:
    """Measures and prints the result."""
    given = arguments(__doc__)
    faults = given.rounds or (10 if given.quick else 200)
    paths: list[float] = []
    work: list[float] = []
    bare: list[float] = []
    chance = random.Random(SEED)
    with (
        own_servers() as (settings, endpoints),
        new_stores(endpoints, "bench", settings.root / "features") as stores,
        server() as (url, taken),
        httpx.Client() as client,
    ):
        clock, store = Time(), IncidentStore(stores.database)
        around = Surroundings(stores.database, {}, lambda: None, clock, clock)
        watch = AlertWatch(around, [Telegram("1:x", "7", url)], None, frozenset())
        watch.tick()
        last = clock()
        for number in range(faults):
            before = len(taken)
            clock.skip(chance.uniform(0, EVERY))  # a fault begins at any time between two looks
            began = clock()
            problem = Problem(Key("bench", "fault", str(number)), Level.SERVICE, Severity.ERROR, "It broke.", began)
            store.report("bench", [problem], at=began, every=timedelta(hours=1), components=["bench"])
            busy = 0.0
            while len(taken) == before:
                clock.skip(EVERY - (clock() - last).total_seconds())
                last, started = clock(), time.monotonic()
                watch.tick()
                busy += time.monotonic() - started
            late = time.monotonic() - taken[before]  # what the look did after the server had the message
            paths.append((clock() - began).total_seconds() - late)
            work.append(busy)
            started = time.monotonic()
            client.post(url, json={"chat_id": "7", "text": "It broke."})
            bare.append(time.monotonic() - started)
            with stores.owner.begin() as connection:  # each fault is the first of its day: no pause holds it up
                execute(
                    connection,
                    "TRUNCATE audit.problems, audit.incidents, audit.notifications, audit.deliveries CASCADE",
                )
    limit = GATHER.total_seconds() + 2 * EVERY + ALLOWANCE
    p99 = _quantile(paths, 0.99)
    met = "" if given.quick else "; met" if p99 <= limit else "; NOT met"
    ratio = statistics.median(work) / statistics.median(bare)
    lines = (
        f"{faults} faults, one message each; gathering {GATHER.total_seconds():.0f} s, a look each {EVERY:.0f} s",
        f"fault to message at the server: p50 {_quantile(paths, 0.5):.2f} s, p99 {p99:.2f} s, limit {limit:.0f} s{met}",
        f"work of the looks in it: p50 {_ms(work, 0.5)}, p99 {_ms(work, 0.99)}",
        f"bare httpx POST: p50 {_ms(bare, 0.5)}, p99 {_ms(bare, 0.99)}; ratio of the medians {ratio:.1f}",
    )
    for line in lines:
        print(line)


def _ms(values: list[float], share: float) -> str:
    return f"{_quantile(values, share) * 1e3:.1f} ms"


def _quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


if __name__ == "__main__":
    main()
