"""The ways to people that are configured, and the watch that uses them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime

from trading_platform.domain.alerts.delivery import Notifier, TryLater
from trading_platform.domain.errors import ConfigurationError, StoreError
from trading_platform.domain.messages import AlertState
from trading_platform.domain.severity import Severity
from trading_platform.domain.time import Clock, utc_now
from trading_platform.notifiers.heartbeat import Heartbeat
from trading_platform.notifiers.telegram import Telegram
from trading_platform.notifiers.through_apprise import ThroughApprise
from trading_platform.resources.demonstration import is_demonstration
from trading_platform.settings import Settings
from trading_platform.stores.alerts.incidents import COMPONENT
from trading_platform.stores.postgres.database import Database
from trading_platform.workflows.alerts.host import clock_of
from trading_platform.workflows.alerts.watch import AlertWatch, Surroundings

log = logging.getLogger(__name__)

_LEVELS = {
    Severity.CRITICAL: logging.CRITICAL,
    Severity.ERROR: logging.ERROR,
    Severity.WARNING: logging.WARNING,
    Severity.INFO: logging.WARNING,
}


class ToLog:
    """Messages in the log of whoever hosts the watch."""

    name = "log"

    def send(self, text: str, severity: Severity, incidents: Sequence[int], at: datetime) -> None:  # noqa: ARG002
        """As :meth:`trading_platform.domain.alerts.delivery.Notifier.send`."""
        log.log(_LEVELS[severity], "%s", text.replace("\n\n", " | "), extra={"cause": f"alert {incidents}"})


class ToStream:
    """Messages on the channel and in the stream ``alerts`` of Redis, for programs.

    Args:
        redis_url: returns the address of Redis; None where there is none.
    """

    name = "stream"

    def __init__(self, redis_url: Callable[[], str | None]) -> None:
        self._redis_url = redis_url

    def send(self, text: str, severity: Severity, incidents: Sequence[int], at: datetime) -> None:
        """As :meth:`trading_platform.domain.alerts.delivery.Notifier.send`."""
        from trading_platform.stores.redis.live import LiveStore

        alert = AlertState(
            event_type="alert",
            severity=severity,
            component=COMPONENT,
            message=text,
            metadata={"incidents": list(incidents)},
        )
        try:
            url = self._redis_url()
            if url is None:
                raise TryLater("There is no Redis.")
            with closing(LiveStore(url)) as live:
                live.publish_alert(at, alert.model_dump_json())
        except (StoreError, ConfigurationError) as error:
            raise TryLater(f"Redis did not take the message: {error}") from None


def notifiers_of(settings: Settings, redis_url: Callable[[], str | None]) -> list[Notifier]:
    """The ways to people and programs that are configured; the log and the stream always are.

    Raises:
        ConfigurationError: if one of them is configured in part only, or cannot be used.
    """
    found: list[Notifier] = [ToLog(), ToStream(redis_url)]
    token, chat = settings.telegram_bot_token, settings.telegram_chat_id
    if (token is None) != (chat is None):
        raise ConfigurationError(
            "Telegram is configured in part.",
            expected="both TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID, or neither",
            received="TELEGRAM_BOT_TOKEN alone" if chat is None else "TELEGRAM_CHAT_ID alone",
            remedy="set the other one, too",
        )
    if is_demonstration(settings):
        return found
    if token is not None and chat is not None:
        found.append(Telegram(token.get_secret_value(), chat, settings.telegram_api_url))
    addresses = settings.alert_urls.get_secret_value().split() if settings.alert_urls else []
    return [*found, *(ThroughApprise(address) for address in addresses)]


def alert_watch(
    settings: Settings, database: Database, redis_url: Callable[[], str | None], clock: Clock = utc_now
) -> AlertWatch:
    """The watch over what is wrong.

    Args:
        settings: the ways to people, and the folders whose disks are looked at.
        database: the database, in the role ``ingest``.
        redis_url: returns the address of Redis; None where there is none.
        clock: the clock of this machine.

    Raises:
        ConfigurationError: as :func:`notifiers_of`.
    """

    def check_redis() -> None:
        from trading_platform.stores.redis.live import LiveStore

        url = redis_url()
        if url is not None:
            with closing(LiveStore(url)) as live:
                live.session()

    folders = {
        "DATA_DIR": settings.root,
        "FEATURES_DIR": settings.features_directory,
        "ARCHIVE_DIR": settings.archive_directory,
        "LOGS_DIR": settings.logs_directory,
    }
    notifiers = notifiers_of(settings, redis_url)
    pulse = None if settings.heartbeat_url is None else Heartbeat(settings.heartbeat_url.get_secret_value())
    direct = frozenset(each.name for each in notifiers) - {ToStream.name}
    around = Surroundings(database, folders, check_redis, clock, clock_of(database))
    return AlertWatch(around, notifiers, pulse, direct)


@contextmanager
def open_alert_watch(settings: Settings) -> Iterator[AlertWatch]:
    """The watch with the configured servers, until the end of the block.

    Raises:
        ConfigurationError: as :func:`notifiers_of`, or if the servers' settings do not fit.
        StoreUnavailable: if the database does not answer.
    """
    from trading_platform.embedded.stack import running_stack
    from trading_platform.resources.platform import open_platform

    with running_stack(settings) as servers, open_platform(settings, endpoints=servers) as platform:
        yield alert_watch(settings, platform.stores.database, lambda: servers.redis_url, platform.clock)
