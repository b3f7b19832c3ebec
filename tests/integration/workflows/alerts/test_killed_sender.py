"""A sender that is killed again and again, at any of its lines: no message is lost, none out of order.

Between Telegram's answer and the mark in the outbox nobody can tell whether a message was taken, so that one is sent
again, with the same numbers of incidents: each kill repeats one message at most.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import killed_sender
import pytest
from processes import environment
from telegram_server import TelegramServer, telegram_server

from trading_platform.domain.alerts.problems import Key, Level, Problem
from trading_platform.domain.severity import Severity
from trading_platform.stores.alerts.incidents import IncidentStore
from trading_platform.stores.alerts.outbox import LEASE, NotificationOutbox
from trading_platform.stores.postgres.database import Database

KILLS = 50
STRIDE = 19
"""From one kill to the next; so that early lines and late ones take turns, and all parts of the whole are reached."""

Order = Callable[[datetime, int], str]


@pytest.fixture
def telegram() -> Iterator[TelegramServer]:
    with telegram_server() as server:
        yield server


@pytest.fixture
def order(database_url: str, telegram: TelegramServer) -> Iterator[Order]:
    """Lets a child look at a time and kill itself at a line; says how that ended."""
    support = str(Path(killed_sender.__file__).parent)
    script = subprocess.Popen(
        [sys.executable, killed_sender.__file__, database_url, telegram.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment() | {"PYTHONPATH": f"{environment()['PYTHONPATH']}:{support}"},
    )
    assert script.stdin is not None
    assert script.stdout is not None
    into, out_of = script.stdin, script.stdout

    def run(now: datetime, line: int) -> str:
        into.write(f"{now.isoformat()} {line}\n")
        into.flush()
        return out_of.readline().strip()

    yield run
    into.close()
    assert script.wait() == 0


def critical(number: int) -> Problem:
    """A problem of which people are notified at once, however many there are."""
    key = Key("tests", "broken", f"p{number:02}")
    return Problem(key, Level.SERVICE, Severity.CRITICAL, "x", datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.exhaustive
def test_a_sender_that_is_killed_fifty_times_loses_nothing(
    database: Database, telegram: TelegramServer, order: Order
) -> None:
    store, outbox = IncidentStore(database), NotificationOutbox(database)
    ((now,),) = database.rows("SELECT clock_timestamp() - interval '6 hours'")
    problems: list[Problem] = []

    def look(line: int = 0) -> str:
        store.report("tests", problems, at=now, every=timedelta(hours=1), components=["tests"])
        return order(now, line)

    look()
    problems.append(critical(0))
    lines = int(look())
    kills = 0
    for number in range(1, KILLS + 1):
        now += LEASE
        problems.append(critical(number))
        place = number * STRIDE % (KILLS + 1)
        kills += look(1 + place * lines // (KILLS + 1)) == "killed"
    for _ in range(3):
        now += LEASE
        look()
    assert kills == KILLS
    notified = dict.fromkeys(re.findall(r"p(\d+) #(\d+)", "\n".join(telegram.texts)))  # reminders name some again
    assert [int(number) for number, _ in notified] == list(range(KILLS + 1)), (
        "lost, out of order, or with another number"
    )
    counts = Counter(telegram.texts)
    assert sum(counts.values()) - len(counts) <= kills, "a kill has repeated more than one message"
    (state,) = outbox.channels()
    assert (state.waiting, state.parked, state.sent) == (0, 0, len(counts))
