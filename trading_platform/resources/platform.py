"""What an asset needs to do its work: stores, sources, the clock, and whom to tell of progress.

Everything is opened when a run or command starts and closed when it ends; nothing is read at
import. Dagster's view of it is :mod:`trading_platform.resources.dagster_platform`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime

from trading_platform.domain.errors import ConfigurationError, StoreError
from trading_platform.domain.instruments import Instrument
from trading_platform.domain.time import Clock, utc_now
from trading_platform.settings import Settings
from trading_platform.sources.base import BarSource
from trading_platform.stores.bundle import Stores, open_stores
from trading_platform.stores.roles import Role
from trading_platform.workflows.gap_incidents import Tell, untold
from trading_platform.workflows.messages import AlertState
from trading_platform.workflows.progress import Progress, silent

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlatformContext:
    """The open platform, as workflows want it."""

    stores: Stores
    sources: Mapping[str, BarSource]
    clock: Clock = utc_now
    progress: Progress = silent
    again: bool = False
    tell: Tell = untold

    def instruments(self, symbols: list[str]) -> list[Instrument]:
        """The instruments of these symbols, in their order.

        Raises:
            InvalidRequest: naming the symbols that the universe does not have.
        """
        return list(self.stores.instruments.require(symbols).values())


def build_sources(settings: Settings, clock: Clock) -> dict[str, BarSource]:
    """Every source there is, by name."""
    from trading_platform.sources.files.source import FileSource
    from trading_platform.sources.kraken.client import connect
    from trading_platform.sources.kraken.source import KrakenSource

    kraken = connect(settings.kraken_api_url, settings.kraken_requests_per_second)
    sources: list[BarSource] = [FileSource(settings.imports_directory), KrakenSource(kraken, clock=clock)]
    return {source.name: source for source in sources}


def alert_teller(settings: Settings) -> Tell:
    """Tells alerts on the channel ``alerts``, on a connection of their own: they are rare.

    Where Redis is away or cannot be, the alert is in the system events all the same.
    """

    def tell(moment: datetime, alert: AlertState) -> None:
        from trading_platform.embedded.stack import running_stack
        from trading_platform.stores.live import LiveStore

        try:
            with running_stack(settings) as endpoints, closing(LiveStore(endpoints.redis_url)) as live:
                live.tell_alert(moment, alert.model_dump_json())
        except (StoreError, ConfigurationError) as error:
            _log.warning("An alert could not be told on the channel alerts: %s", error)

    return tell


@contextmanager
def open_platform(
    settings: Settings,
    *,
    role: Role = Role.INGEST,
    clock: Clock = utc_now,
    progress: Progress = silent,
    again: bool = False,
) -> Iterator[PlatformContext]:
    """The platform over the configured servers, or over the embedded ones where none are configured.

    Args:
        settings: which servers, and where files are.
        role: as whom to work on the database; ``dashboard`` for what only reads.
        clock: tells the time.
        progress: is told how far the work is.
        again: derive anew what is up to date.

    Raises:
        ConfigurationError: if the settings do not allow it, or DATABASE_URL is another role's.
        StoreUnavailable: if the database does not answer.
    """
    from trading_platform.embedded.stack import running_stack, url_as

    with (
        running_stack(settings, need_redis=False) as endpoints,
        open_stores(
            url_as(settings, endpoints, role),
            settings.features_directory,
            archive_directory=settings.archive_directory,
            owner_url=endpoints.database_url,
            may_upgrade=settings.database_url is None,
        ) as stores,
    ):
        if role is Role.INGEST:
            stores.lifecycle.note_expired(clock())  # TimescaleDB's policies drop whenever they are due
        yield PlatformContext(stores, build_sources(settings, clock), clock, progress, again, alert_teller(settings))
