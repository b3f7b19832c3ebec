"""The migrations on every PostgreSQL that the platform supports, from every state there is, cut off anywhere.

A real cluster of each version; a version that this machine does not have is skipped with the reason.
What does not depend on the version is in ``test_migrations.py`` and ``test_schema.py``.
"""

from __future__ import annotations

import os
import random
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from clusters import cluster, installations, missing
from commands import rows
from databases import on_database
from processes import REPOSITORY, environment
from schemas import (
    bring_to,
    catalog,
    contents,
    new_database,
    renamed_columns,
    renamed_rows,
    shape,
    upgrade,
    without_computed,
)
from waiting import LONG, wait_until

from trading_platform.domain.errors import StoreUnavailable
from trading_platform.embedded.postgres_programs import MAJOR_VERSION
from trading_platform.stores.postgres import migrations

EMBEDDED = int(MAJOR_VERSION)
SUPPORTED = (15, 16, EMBEDDED)
REVISIONS = migrations._revisions()
FIXTURES = REPOSITORY / "tests" / "fixtures" / "schema"

UPGRADES = """
import os, sys
import alembic.command, psycopg
from trading_platform.stores.features import catalog
from trading_platform.stores.postgres import migrations
from trading_platform.stores.schema import upgrade
from trading_platform.stores.postgres.database import Database
for url in map(str.strip, sys.stdin):
    child = os.fork()
    if not child:
        upgrade(Database(url))
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Upgrades given databases, each in a process of its own that has everything loaded; says its id and its end."""


@dataclass
class Server:
    """A running cluster, with databases to copy made when they are first wanted."""

    version: int
    url: str
    states: dict[str, str] = field(default_factory=dict)

    def state(self, revision: str) -> str:
        """Name of a database at a revision, with rows in every table it has."""
        if revision not in self.states:
            name = self.states[revision] = f"at_{revision}"
            with psycopg.connect(self.url, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}".encode())
            url = on_database(self.url, name)
            for each in REVISIONS[: REVISIONS.index(revision) + 1]:
                bring_to(url, each)
                if (FIXTURES / f"rows_{each}.sql").exists():
                    with psycopg.connect(url) as connection:
                        connection.execute((FIXTURES / f"rows_{each}.sql").read_bytes())
            empty = [table for table, found in contents(url).items() if not found]
            assert not empty, f"tables without rows say nothing: {empty}"
        return self.states[revision]


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[int, Server]]:
    with ExitStack() as running:

        class Servers(dict[int, Server]):
            def __missing__(self, version: int) -> Server:
                reason = missing(version)
                if reason:
                    pytest.skip(reason)
                self[version] = Server(version, running.enter_context(cluster(version)))
                return self[version]

        yield Servers()


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(version, marks=[] if version == EMBEDDED else pytest.mark.exhaustive)
        for version in sorted({*SUPPORTED, *installations()})
    ],
)
def server(request: pytest.FixtureRequest, servers: dict[int, Server]) -> Server:
    return servers[request.param]


def test_the_server_is_of_that_version(server: Server):
    found = rows(server.url, "SHOW server_version_num")[0][0]
    assert int(found) // 10_000 == server.version


@pytest.mark.exhaustive
def test_from_nothing_and_then_no_further(server: Server):
    with new_database(server.url) as url:
        assert catalog(url) == []
        assert upgrade(url) == (None, REVISIONS[-1])
        made = catalog(url)
        assert ("schema", "trading") in {(kind, name) for kind, name, _ in made}
        assert upgrade(url) == (REVISIONS[-1], REVISIONS[-1])
        assert catalog(url) == made


@pytest.mark.parametrize(
    "revision", [*(pytest.param(each, marks=pytest.mark.exhaustive) for each in ("0001", "0002")), "0008"]
)
def test_rows_of_an_earlier_schema_are_all_there_afterwards(server: Server, revision: str):
    with new_database(server.url) as fresh:
        upgrade(fresh)
        wanted = timeless(catalog(fresh))
    with new_database(server.url, server.state(revision)) as url:
        columns, before = without_computed(renamed_columns(shape(url)), renamed_rows(contents(url)))
        assert sum(map(len, before.values())) > 10_000
        assert {"market_data.ohlcv", "market_data.indicators"} <= set(before)
        assert upgrade(url) == (revision, REVISIONS[-1])
        assert contents(url, columns) == before
        assert timeless(catalog(url)) == wanted, "the way here makes a difference"
        made = catalog(url)
        assert upgrade(url) == (REVISIONS[-1], REVISIONS[-1])
        assert catalog(url) == made
        assert contents(url, columns) == before
        with psycopg.connect(url) as connection:
            added = connection.execute(
                "INSERT INTO market_data.coverage_requests"
                " (symbol, timeframe, source, asked, outcome, origin, asked_at)"
                " VALUES ('SPY', '1d', 'file', '[2024-01-01,2024-01-02)', 'empty', 'test', now())"
                " RETURNING id > (SELECT max(id) FROM market_data.coverage_requests)"
            ).fetchone()
        assert added == (True,)


def timeless(found: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """A catalog without what is named for a month or day: how many partitions there are depends on the rows."""
    return [each for each in found if not re.search(r"_\d{4}", each[1])]


CUT_OFF = [
    (version, revision)
    for version in sorted({*SUPPORTED, *installations()})
    for revision in (REVISIONS if version == EMBEDDED else (REVISIONS[0], REVISIONS[-1]))
]
"""Every revision on the embedded version, the first and the newest on the others."""


@pytest.mark.exhaustive
@pytest.mark.parametrize(("server", "revision"), CUT_OFF, indirect=["server"])
def test_cut_off_inside_any_revision_nothing_is_left_behind(
    server: Server, revision: str, monkeypatch: pytest.MonkeyPatch
):
    """The session is ended by the server after the first statement of a revision, in its middle, and after its last."""
    state = "template0" if revision == REVISIONS[0] else server.state(REVISIONS[0])
    with new_database(server.url, state) as url:
        before, held = catalog(url), contents(url)
        for place in (0, 0.5, 1):
            with monkeypatch.context() as patched:
                cut_off(patched, revision, place)
                with pytest.raises(StoreUnavailable):
                    upgrade(url)
            assert catalog(url) == before
        assert contents(url) == held
        columns, rows_before = without_computed(renamed_columns(shape(url)), renamed_rows(held))
        assert upgrade(url)[1] == REVISIONS[-1]
        assert contents(url, columns) == rows_before


def cut_off(patched: pytest.MonkeyPatch, revision: str, place: float) -> None:
    """Has the session ended in a revision, after that share of its statements."""
    original = Path.read_text

    def read_text(path: Path, *arguments: str, **named: str) -> str:
        text = original(path, *arguments, **named)
        if not (path.suffix == ".sql" and path.name.startswith(f"{revision}_")):
            return text
        bodies = [found.span() for found in re.finditer(r"(\$\w*\$).*?\1", text, re.DOTALL)]
        breaks = [found.start() for found in re.finditer(";\n\n", text)]
        ends = [at for at in breaks if not any(start < at < end for start, end in bodies)]
        cut = [*ends, len(text)][round(place * len(ends))] + 1
        return f"{text[:cut]}\nSELECT pg_terminate_backend(pg_backend_pid());\n{text[cut:]}"

    patched.setattr(Path, "read_text", read_text)


@pytest.fixture(scope="module")
def upgrades() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", UPGRADES]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(), cwd=REPOSITORY
    ) as running:
        yield running
        running.stdin.close()


@pytest.mark.exhaustive
@pytest.mark.slow
def test_killed_at_any_moment_it_is_done_whole_or_not_at_all(server: Server, upgrades: subprocess.Popen[str]):
    revision, chance = REVISIONS[0], random.Random(server.version)
    with new_database(server.url, server.state(revision)) as url:
        columns, before = shape(url), catalog(url)
        held = contents(url)
        began = time.monotonic()
        assert kill_after(LONG, upgrades, url) == 0
        takes, after = time.monotonic() - began, catalog(url)
    killed = 0
    for _ in range(10):
        with new_database(server.url, server.state(revision)) as url:
            for _ in range(8):
                if kill_after(chance.uniform(0, takes), upgrades, url) == -signal.SIGKILL:
                    killed += 1
                else:  # the machine has become quicker since
                    takes /= 2
                wait_until_alone(url)
                found = catalog(url)
                assert found in (before, after)
                if found == after:
                    break
            names = renamed_columns(columns) if found == after else columns
            assert contents(url, names) == (renamed_rows(held) if found == after else held)
            upgrade(url)
            assert catalog(url) == after
            assert contents(url, renamed_columns(columns)) == renamed_rows(held)
        if killed >= 2:
            break
    assert killed >= 2


def kill_after(seconds: float, upgrades: subprocess.Popen[str], url: str) -> int:
    """Has a database upgraded by a process that is killed after a while unless it is done; says how it ended."""
    print(url, file=upgrades.stdin, flush=True)
    process = int(upgrades.stdout.readline())
    if not select.select([upgrades.stdout], [], [], seconds)[0]:
        with suppress(ProcessLookupError):  # done just now
            os.kill(process, signal.SIGKILL)
    return int(upgrades.stdout.readline())


def wait_until_alone(url: str) -> None:
    """The server notices that a client is gone when it next has something to say to it."""
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    wait_until(lambda: rows(url, others) == [(0,)], "the server to notice")


@pytest.mark.exhaustive
def test_every_version_gets_the_same(servers: dict[int, Server]):
    """Tables, columns, types, constraints, indexes, comments, functions, triggers, privileges."""
    there = [version for version in SUPPORTED if missing(version) is None]
    if len(there) < 2:
        pytest.skip(f"one version to compare with itself: {there}")
    for _ in range(2):  # partitions are made for the present: all on the same day, even at midnight
        day, made = datetime.now(UTC).date(), {}
        for version in there:
            with new_database(servers[version].url) as url:
                upgrade(url)
                made[version] = catalog(url)
        if day == datetime.now(UTC).date():
            break
    first = made[there[0]]
    for version in there[1:]:
        assert made[version] == first
