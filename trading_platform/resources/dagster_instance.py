"""Opens Dagster's instance for commands, the same one that ``dagster dev`` uses.

The settings define its database and files (:mod:`trading_platform.resources.dagster_storage`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from trading_platform.embedded.folders import explain_os_error
from trading_platform.settings import Settings
from trading_platform.stores.private_files import private_folder

if TYPE_CHECKING:
    from dagster import DagsterInstance

_PACKAGE = Path(__file__).parent.parent

CONFIGURATION = "dagster.yaml"

DEFINITIONS = "trading_platform.definitions"
"""The module that ``dagster dev`` loads, which is also the name of its code location."""


def instance_directory() -> Path:
    """The folder of ``dagster.yaml``: in the checkout, or in an installed package."""
    return _PACKAGE if (_PACKAGE / CONFIGURATION).exists() else _PACKAGE.parent


def prepare_home(settings: Settings) -> Path:
    """Dagster's home in the data directory, with the present ``dagster.yaml``.

    Raises:
        ConfigurationError: if the folder cannot be written to.
        StoreFull: if the disk is full.
    """
    home = settings.root / "dagster"
    kept, current = home / CONFIGURATION, (instance_directory() / CONFIGURATION).read_bytes()
    try:
        private_folder(home)
        if not kept.exists() or kept.read_bytes() != current:
            fresh = home / f"{CONFIGURATION}.{os.getpid()}"  # another process may be reading the old one
            fresh.write_bytes(current)
            fresh.replace(kept)
    except OSError as error:
        raise explain_os_error(error, home) from error
    return home


@contextmanager
def open_instance(settings: Settings) -> Iterator[DagsterInstance]:
    """Dagster's instance: that of DAGSTER_HOME if set, else the platform's own.

    Raises:
        StoreUnavailable: if Dagster's database does not respond, here or in the body.
        StoreFull: if it has no space left.
    """
    from dagster import DagsterInstance
    from dagster._core.instance import InstanceRef

    with _database_errors_explained():
        if os.environ.get("DAGSTER_HOME"):
            with DagsterInstance.get() as instance:
                yield instance
            return
        home = settings.root / "dagster"
        private_folder(home)
        reference = InstanceRef.from_dir(str(home), config_dir=str(instance_directory()))
        with DagsterInstance.from_ref(reference) as instance:
            yield instance


@contextmanager
def runs_of_code_location(instance: DagsterInstance, job_name: str) -> Iterator[None]:
    """Runs that are created in the block belong to the code location of ``dagster dev``, as the UI's own runs do.

    Dagster's Timeline and its pages of jobs show the runs of a code location; an execution in a process of its own
    names none, and has no argument for it.
    """
    from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
    from dagster._core.remote_origin import ManagedGrpcPythonEnvCodeLocationOrigin, RemoteRepositoryOrigin
    from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

    location = ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(module_name=DEFINITIONS), DEFINITIONS)
    origin = RemoteRepositoryOrigin(location, SINGLETON_REPOSITORY_NAME).get_job_origin(job_name)
    vars(instance)["create_run_for_job"] = partial(instance.create_run_for_job, remote_job_origin=origin)
    try:
        yield
    finally:
        del vars(instance)["create_run_for_job"]


@contextmanager
def _database_errors_explained() -> Iterator[None]:
    """Maps errors of Dagster's database drivers to the platform's errors."""
    import psycopg
    import psycopg2
    from dagster_postgres.utils import DagsterPostgresException
    from sqlalchemy.exc import DBAPIError

    from trading_platform.stores.postgres.errors import store_error

    try:
        yield
    except (DBAPIError, psycopg.Error, psycopg2.Error) as error:
        raise store_error(error) from error
    except DagsterPostgresException as error:
        cause = error.__cause__ or error.__context__
        raise store_error(cause if isinstance(cause, Exception) else error) from error
