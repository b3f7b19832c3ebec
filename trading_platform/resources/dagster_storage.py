"""Where Dagster keeps its own records: the classes that ``dagster.yaml`` names.

``dagster.yaml`` cannot know where the embedded server is, nor start it, so it names these classes
and they ask the settings. Every Dagster process (webserver, daemon, code server, each run) loads
them; each then holds a lease on the embedded PostgreSQL for as long as it lives, and the last one
out stops the server. The platform's own stores are the neighbours in :mod:`trading_platform.resources`.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any, Self

import psycopg
from dagster._config.config_schema import UserConfigSchema
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import create_pg_engine

from trading_platform.domain.errors import ConfigurationError
from trading_platform.embedded.stack import running_stack
from trading_platform.settings import Settings, load_settings

EVENT_BATCH_SIZE = "1000"
"""How many events of one run Dagster writes at once; one by one they take more than twice as long."""

TABLE_LOCK = 0x7472_6164
"""Key of the advisory lock under which one process at a time may make Dagster's tables."""


@cache
def _database_url_for_life(settings: Settings) -> str:
    """Dagster's database, on a stack that is held until this process ends."""
    uses = ExitStack()
    endpoints = uses.enter_context(running_stack(settings, need_redis=False))
    atexit.register(uses.close)
    if not endpoints.dagster_database_url:
        raise ConfigurationError(
            "Dagster's own database is not configured.",
            expected="DAGSTER_DATABASE_URL, because DATABASE_URL is that of a role",
            remedy="set DAGSTER_DATABASE_URL to a database and user of Dagster's own",
        )
    return endpoints.dagster_database_url


class PlatformStorage(DagsterPostgresStorage):
    """Dagster's runs, events and schedules in the database that the settings name, or the embedded one.

    Raises:
        ConfigurationError, StoreUnavailable, StoreFull: as
            :func:`trading_platform.embedded.stack.running_stack`.
    """

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        # Read by Dagster from the environment at every write; here, because every process comes by
        # before its first one.
        os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", EVENT_BATCH_SIZE)
        url = _database_url_for_life(load_settings())
        with psycopg.connect(url.replace("+psycopg2", "", 1)) as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", (TABLE_LOCK,))
            super().__init__(url, should_autocreate_tables=True, inst_data=inst_data)
        self._keep_connections(url)

    def _keep_connections(self, url: str) -> None:
        """Lets each of the three storages keep one connection between statements.

        By default Dagster opens one for each, which makes writing an event some seven times as slow. A
        kept connection is asked whether it still lives before it is used, so that a server that was
        restarted meanwhile is met as before.
        """
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            storage._engine = create_pg_engine(  # noqa: SLF001 - the constructor leaves no choice of pool
                url, isolation_level="AUTOCOMMIT", pool_size=1, max_overflow=20, pool_pre_ping=True
            )

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """No configuration: the settings have it."""
        return {}

    @classmethod
    def from_config_value(
        cls,
        inst_data: ConfigurableClassData | None,
        config_value: Mapping[str, Any],  # noqa: ARG003 - Dagster's signature
    ) -> Self:
        """Called by Dagster."""
        return cls(inst_data)


class PlatformArtifactStorage(LocalArtifactStorage):
    """Files of Dagster's own, under ``<data_dir>/dagster`` and not in a temporary home."""

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """No configuration: the settings have it."""
        return {}

    @classmethod
    def from_config_value(
        cls,
        inst_data: ConfigurableClassData | None,
        config_value: Mapping[str, Any],  # noqa: ARG003 - Dagster's signature
    ) -> Self:
        """Called by Dagster."""
        return cls(str(_made(load_settings().root / "dagster")), inst_data)


class PlatformComputeLogs(LocalComputeLogManager):
    """What steps print, under the logs directory of the settings."""

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """No configuration: the settings have it."""
        return {}

    @classmethod
    def from_config_value(
        cls,
        inst_data: ConfigurableClassData | None,
        config_value: Mapping[str, Any],  # noqa: ARG003 - Dagster's signature
    ) -> Self:
        """Called by Dagster."""
        return cls(str(_made(load_settings().logs_directory / "runs")), inst_data=inst_data)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
