"""The platform as a Dagster resource (:mod:`trading_platform.resources.platform` without Dagster)."""

from collections.abc import Iterator

from dagster import InitResourceContext, resource

from trading_platform.resources.platform import PlatformContext, open_platform
from trading_platform.settings import load_settings


@resource(description="Stores and sources, configured by the environment; see .env.example.")
def platform_resource(_context: InitResourceContext) -> Iterator[PlatformContext]:
    """The platform that the environment configures (:mod:`trading_platform.settings`), open during a run."""
    with open_platform(load_settings()) as platform:
        yield platform
