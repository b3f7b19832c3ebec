"""The platform as a Dagster resource (:mod:`trading_platform.resources.platform` without Dagster)."""

from collections.abc import Iterator
from contextlib import nullcontext

from dagster import InitResourceContext, resource

from trading_platform.domain.errors import ConfigurationError
from trading_platform.embedded.run_leases import RunLeases
from trading_platform.resources.platform import PlatformContext, open_platform
from trading_platform.settings import load_settings
from trading_platform.stores.features.definitions import BUILT_IN_DEFINITIONS, Definitions, load_definitions


def configured_features() -> Definitions:
    """The features that the environment configures, for the columns of their asset.

    Where the settings cannot be used, the platform's own: opening the platform says what is wrong.
    """
    try:
        return load_definitions(load_settings().definitions_directory)
    except ConfigurationError:
        return BUILT_IN_DEFINITIONS


def has_own_rules() -> bool:
    """Whether the environment names a file of a user's own rules for stored rows."""
    try:
        return load_settings().quality_rules_file is not None
    except ConfigurationError:
        return False


@resource(description="Stores and sources, configured by the environment; see .env.example.")
def platform_resource(context: InitResourceContext) -> Iterator[PlatformContext]:
    """The platform that the environment configures (:mod:`trading_platform.settings`), open during a run.

    The run's lease is held as long, which tells Dagster's monitoring that its process is alive.
    """
    settings = load_settings()
    with (
        RunLeases(settings.root).held(context.run_id) if context.run_id else nullcontext(),
        open_platform(settings) as platform,
    ):
        yield platform
