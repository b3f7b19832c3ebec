"""The platform as a Dagster resource (:mod:`trading_platform.resources.platform` without Dagster)."""

from collections.abc import Iterator

from dagster import InitResourceContext, resource

from trading_platform.resources.platform import PlatformContext, open_platform
from trading_platform.settings import load_settings


@resource(description="Stores and sources as the environment configures them; see .env.example.")
def platform_resource(_context: InitResourceContext) -> Iterator[PlatformContext]:
    """The platform of the environment (:mod:`trading_platform.settings`), open for the length of a run."""
    with open_platform(load_settings()) as platform:
        yield platform
