"""The real command in a process of its own, on a database of its own of the session's server."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
from databases import create, dagster_schema, drop, newest_schema
from fork_server import ForkServer
from processes import environment
from psycopg import sql
from waiting import LONG

from trading_platform.domain.market.calendars import ZONE_SCHEMA, open_spans, sessions, timezone_of
from trading_platform.domain.time import Window
from trading_platform.embedded.stack import stop_stack
from trading_platform.settings import Settings
from trading_platform.stores.session_files import SessionFiles

NOWHERE = "http://127.0.0.1:9"
"""Where nobody answers: no test asks a vendor by mistake."""

ROLES_PASSWORD = "of the roles in tests"  # noqa: S105 - servers of tests
"""Roles are the server's, so all tests of one server share it."""

WHERE_SIGINT_IS_IGNORED = ("sh", "-c", "trap '' INT; exec \"$@\"", "sh")
"""As a script starts a command in the background."""

IN_BACKGROUND = ("sh", "-c", "trap '' INT TERM; exec \"$@\"", "sh")
"""As a command is started by who ignores signals: a script in the background, a program that Dagster had run in."""


def common_environment() -> dict[str, str]:
    """What every command is started with."""
    return environment() | {
        "KRAKEN_API_URL": NOWHERE,
        "YAHOO_API_URL": NOWHERE,
        "KRAKEN_REQUESTS_PER_SECOND": "1000",
        "COLUMNS": "200",
        "NO_COLOR": "1",
    }


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Everything a person saw, lines joined, as a terminal's width may break them anywhere."""
        return " ".join((self.out + " " + self.err).split())

    @property
    def json(self) -> Any:
        """What stands on standard output, which must be one JSON document."""
        return json.loads(self.out)


@dataclass
class Installation:
    """Somebody's platform: a data directory and the settings of their environment."""

    data_dir: Path
    variables: dict[str, str] = field(default_factory=dict)

    def environment(self, more: Mapping[str, str | None] | None = None) -> dict[str, str]:
        """What the command's process is started with; None takes a variable away."""
        own = {"DATA_DIR": str(self.data_dir)}
        merged: dict[str, str | None] = {**common_environment(), **own, **self.variables, **(more or {})}
        return {name: value for name, value in merged.items() if value is not None}

    def start(
        self, *arguments: str | Path, more: Mapping[str, str | None] | None = None, through: Sequence[str] = ()
    ) -> subprocess.Popen[str]:
        """The command, running, leader of a process group of its own; started by another program where one is named."""
        return subprocess.Popen(
            [*through, Path(sys.executable).with_name("trading-platform"), *map(str, arguments)],
            cwd=self.data_dir,
            env=self.environment(more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(
        self, *arguments: str | Path, more: Mapping[str, str | None] | None = None, timeout: float = LONG
    ) -> Finished:
        """The command, to its end."""
        variables = self.environment(more)
        if not _fork_server().suits(variables):
            return finish(self.start(*arguments, more=more), timeout)
        return Finished(*_fork_server().run(list(map(str, arguments)), variables, self.data_dir, timeout))

    def settings(self) -> Settings:
        """The same settings, for the test's own process."""
        return Settings(
            _env_file=None,
            data_dir=self.data_dir,
            kraken_api_url=self.variables.get("KRAKEN_API_URL", NOWHERE),
            kraken_requests_per_second=1000,
            yahoo_api_url=self.variables.get("YAHOO_API_URL", NOWHERE),
            database_url=self.variables.get("DATABASE_URL"),
            dagster_database_url=self.variables.get("DAGSTER_DATABASE_URL"),
        )  # type: ignore[call-arg, arg-type]

    @property
    def database_url(self) -> str:
        """libpq URL of its database."""
        return self.variables["DATABASE_URL"]


@cache
def _fork_server() -> ForkServer:
    """The session's, begun when it is first needed."""
    begun = ForkServer(common_environment())
    atexit.register(begun.close)
    return begun


def finish(process: subprocess.Popen[str], timeout: float = LONG) -> Finished:
    """Waits for a command's end; one that does not come to it is killed with its children."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        kill(process)
        raise
    return Finished(process.returncode, out, err)


def kill(process: subprocess.Popen[str]) -> None:
    """As ``kill -9`` of its whole process group; a command that has ended is left alone."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@cache
def _sessions_of_new_york() -> Path:
    """A folder with the sessions that most commands need, which take longer to compute than most commands do."""
    folder = Path(tempfile.mkdtemp(prefix="tp-calendars-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    ever = Window(datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC))
    kept = SessionFiles(folder)
    kept("XNYS", lambda: sessions("XNYS", ever))
    kept("XNYS_spans", lambda: open_spans("XNYS", ever))
    kept("XNYS_zone", lambda: pl.DataFrame({"zone": [timezone_of("XNYS").key]}, schema=ZONE_SCHEMA))
    return folder


@contextmanager
def installation(server_url: str, *, schema: bool = True, template: str | None = None) -> Iterator[Installation]:
    """A data directory, and two databases on a running server that are dropped afterwards.

    The sessions of New York are there as an earlier command leaves them.

    Args:
        server_url: any database of the server.
        schema: begin with the newest schema; with an empty database if not.
        template: a database to begin with a copy of.
    """
    data_dir = Path(tempfile.mkdtemp(prefix="tp-"))
    data_dir.chmod(0o755)
    shutil.copytree(_sessions_of_new_york(), data_dir / "calendars")
    name = f"test_{uuid.uuid4().hex[:12]}"
    names = name, f"{name}_dagster"
    try:
        beginning = template or (newest_schema(server_url) if schema else "template0")
        yield Installation(
            data_dir,
            {
                "DATABASE_URL": create(server_url, names[0], beginning),
                "DAGSTER_DATABASE_URL": create(server_url, names[1], dagster_schema(server_url)),
            },
        )
    finally:
        stop_stack(Settings(_env_file=None, data_dir=data_dir), force=True)  # type: ignore[call-arg]
        drop(server_url, *names)
        shutil.rmtree(data_dir, ignore_errors=True)


def rows(url: str, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """What a query answers."""
    with psycopg.connect(url) as connection:
        return connection.execute(statement.encode(), parameters or None).fetchall()


def tables(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Everything the platform keeps in a database: the rows of each table, in order."""
    with psycopg.connect(url) as connection:
        names = connection.execute(
            "SELECT schemaname, relname FROM pg_stat_user_tables WHERE schemaname IN ('market_data', 'config')"
        ).fetchall()
        return {
            table: connection.execute(
                sql.SQL("SELECT * FROM {} AS content ORDER BY content").format(sql.Identifier(schema, table))
            ).fetchall()
            for schema, table in sorted(names)
        }
