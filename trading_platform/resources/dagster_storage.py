"""Storage of Dagster's own records: the classes that ``dagster.yaml`` names.

``dagster.yaml`` can neither know the address of the embedded server nor start it. The classes it names read the
settings instead. Every Dagster process (webserver, daemon, code server, each run) loads them and holds a lease on the
embedded PostgreSQL until it ends; the last process to end stops the server. The platform's own stores are opened by
the other modules of :mod:`trading_platform.resources`.
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
from trading_platform.stores.private_files import private_folder

EVENT_BATCH_SIZE = "1000"
"""Number of events of one run that Dagster writes at once; single writes take more than twice as long."""

TABLE_LOCK = 0x7472_6164
"""Key of the advisory lock that lets one process at a time create Dagster's tables."""


@cache
def _database_url_for_life(settings: Settings) -> str:
    """Address of Dagster's database; this process holds a lease on its server until it ends."""
    uses = ExitStack()
    endpoints = uses.enter_context(running_stack(settings, need_redis=False))
    atexit.register(uses.close)
    if not endpoints.dagster_database_url:
        raise ConfigurationError(
            "Dagster's own database is not configured.",
            expected="DAGSTER_DATABASE_URL, because the user of DATABASE_URL is one of the platform's roles",
            remedy="set DAGSTER_DATABASE_URL to a database and user for Dagster alone",
        )
    return endpoints.dagster_database_url


class PlatformStorage(DagsterPostgresStorage):
    """Dagster's runs, events and schedules, in the configured database or the embedded one.

    Raises:
        ConfigurationError, StoreUnavailable, StoreFull: as raised by
            :func:`trading_platform.embedded.stack.running_stack`.
    """

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        # Dagster reads it from the environment at every write. It is set here because every process creates its
        # storage before its first write.
        os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", EVENT_BATCH_SIZE)
        url = _database_url_for_life(load_settings())
        with psycopg.connect(url.replace("+psycopg2", "", 1)) as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", (TABLE_LOCK,))
            super().__init__(url, should_autocreate_tables=True, inst_data=inst_data)
        self._keep_connections(url)

    def _keep_connections(self, url: str) -> None:
        """Lets each of the three storages keep one connection open between statements.

        By default Dagster opens a connection for each statement, which makes writing an event some seven times as
        slow. An open connection is tested before each use, so that a restart of the server does no harm.
        """
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            storage._engine = create_pg_engine(  # noqa: SLF001 - the constructor offers no choice of pool
                url, isolation_level="AUTOCOMMIT", pool_size=1, max_overflow=20, pool_pre_ping=True
            )

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """Takes no configuration from ``dagster.yaml``; the settings have it."""
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
    """Dagster's own files, under ``<data_dir>/dagster`` and not in a temporary folder."""

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """Takes no configuration from ``dagster.yaml``; the settings have it."""
        return {}

    @classmethod
    def from_config_value(
        cls,
        inst_data: ConfigurableClassData | None,
        config_value: Mapping[str, Any],  # noqa: ARG003 - Dagster's signature
    ) -> Self:
        """Called by Dagster."""
        return cls(str(_ensured(load_settings().root / "dagster")), inst_data)


class PlatformComputeLogs(LocalComputeLogManager):
    """The output of steps, under the configured log folder."""

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """Takes no configuration from ``dagster.yaml``; the settings have it."""
        return {}

    @classmethod
    def from_config_value(
        cls,
        inst_data: ConfigurableClassData | None,
        config_value: Mapping[str, Any],  # noqa: ARG003 - Dagster's signature
    ) -> Self:
        """Called by Dagster."""
        return cls(str(_ensured(load_settings().logs_directory / "runs")), inst_data=inst_data)


def _ensured(folder: Path) -> Path:
    private_folder(folder)
    return folder
