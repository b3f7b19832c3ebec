"""Fixtures for tests against real servers: one embedded stack a session, a database a module."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import ROLES_PASSWORD
from databases import create, drop, newest_schema, upgraded, without_durability
from redis import Redis
from redis_servers import flush, mark
from small_disks import mounted

from trading_platform.embedded.stack import Endpoints, running_stack, stop_stack
from trading_platform.settings import Settings
from trading_platform.stores.audit.journal import AuditStore
from trading_platform.stores.postgres.database import Database
from trading_platform.stores.postgres.roles import Role, set_passwords


@pytest.fixture(scope="session")
def new_settings() -> Iterator[Callable[..., Settings]]:
    """Makes settings with a fresh data directory each, all purged at the end, servers included.

    The directories are in the system's temporary folder and not in pytest's, whose paths are long
    and closed to other users: the short open case is the usual one, the others have tests of their own.
    """
    made: list[Settings] = []

    def make(data_dir: Path | None = None, **values: str) -> Settings:
        folder = data_dir or Path(tempfile.mkdtemp(prefix="tp-"))
        if data_dir is None:
            folder.chmod(0o755)
        settings = Settings(_env_file=None, data_dir=folder, **values)  # type: ignore[arg-type]
        made.append(settings)
        return settings

    yield make
    for settings in made:
        stop_stack(settings, force=True, purge=True)
        shutil.rmtree(settings.root, ignore_errors=True)


@pytest.fixture(scope="session")
def stack_settings(new_settings: Callable[..., Settings]) -> Settings:
    """Settings whose data directory is that of the session's embedded servers."""
    return new_settings()


@pytest.fixture(scope="session")
def stack(stack_settings: Settings) -> Iterator[Endpoints]:
    """The session's real PostgreSQL and Redis."""
    named = stack_settings.model_fields_set - {"data_dir"}
    assert not named, f"the tests' own servers are asked for, and the environment names {named}"
    with running_stack(stack_settings) as endpoints:
        without_durability(endpoints.database_url)
        mark(endpoints.redis_url)
        yield endpoints


def _database_name(request: pytest.FixtureRequest) -> str:
    module = request.module.__name__.rpartition(".")[2].removeprefix("test_")
    return f"{module[:40]}_{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def database_url(stack: Endpoints, request: pytest.FixtureRequest) -> Iterator[str]:
    """libpq URL of a database at the newest schema that only this test module uses."""
    name = _database_name(request)
    yield create(stack.database_url, name, newest_schema(stack.database_url))
    drop(stack.database_url, name)


@pytest.fixture(scope="module")
def database(database_url: str) -> Iterator[Database]:
    """The same, open."""
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def audit(database: Database) -> AuditStore:
    """The audit trail in it."""
    return AuditStore(database)


@pytest.fixture(scope="module")
def timescale_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """URL of such a database on a server with TimescaleDB, named by TEST_TIMESCALE_DSN; skipped without one."""
    server = os.environ.get("TEST_TIMESCALE_DSN")
    if not server:
        pytest.skip("no TimescaleDB to test against (set TEST_TIMESCALE_DSN to postgresql://user:password@host/db)")
    name = _database_name(request)
    yield upgraded(create(server, name))
    drop(server, name)


@pytest.fixture(scope="module")
def redis_url(stack: Endpoints) -> Iterator[str]:
    """URL of the session's Redis, empty when the module begins and emptied when it ends."""
    with Redis.from_url(stack.redis_url) as client:
        flush(client)
        yield stack.redis_url
        flush(client)


@pytest.fixture(scope="module", params=["database_url", "timescale_url"])
def server_url(request: pytest.FixtureRequest) -> str:
    """A database at the newest schema on each of the two back ends, whose roles have ``ROLES_PASSWORD``."""
    url: str = request.getfixturevalue(request.param)
    set_passwords(url, dict.fromkeys(Role, ROLES_PASSWORD))
    return url


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte; only root may have one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with mounted(folder, "1m"):
        yield folder
