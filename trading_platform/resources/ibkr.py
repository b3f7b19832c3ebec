"""Opens the configured Interactive Brokers gateway within its rate limits, and logs its absences."""

from __future__ import annotations

import asyncio
import logging

from trading_platform.domain.errors import ConfigurationError, StoreError
from trading_platform.domain.severity import Severity
from trading_platform.domain.time import Clock
from trading_platform.settings import Settings
from trading_platform.sources.ibkr.client import IbkrClient
from trading_platform.sources.ibkr.connection import Absence
from trading_platform.sources.ibkr.limits import HistoryLimit
from trading_platform.sources.ibkr.live.stream import OnAbsence
from trading_platform.sources.ibkr.maintenance import parse_maintenance
from trading_platform.sources.ibkr.session import Gateway
from trading_platform.sources.rate_limits import RateLimiter
from trading_platform.stores.audit.journal import AuditStore
from trading_platform.stores.postgres.database import Database

log = logging.getLogger(__name__)


def gateway_of(settings: Settings) -> Gateway:
    """The configured address of TWS or IB Gateway.

    Raises:
        ConfigurationError: if IBKR_HOST is not set.
    """
    if settings.ibkr_host is None:
        raise ConfigurationError(
            "The address of Interactive Brokers' TWS or gateway is not configured.",
            expected="IBKR_HOST, such as 127.0.0.1",
            received="nothing",
            remedy="set IBKR_HOST (.env.example explains it)",
        )
    return Gateway(
        settings.ibkr_host,
        settings.ibkr_port,
        settings.ibkr_client_id,
        settings.ibkr_account,
        settings.ibkr_timezone,
    )


def open_client(settings: Settings, rate_limiter: RateLimiter, clock: Clock) -> IbkrClient:
    """A client of the configured gateway; it connects at its first request.

    Raises:
        ConfigurationError: if no gateway is configured, or ``IBKR_MAINTENANCE`` is malformed.
    """
    gateway = gateway_of(settings)
    return IbkrClient(
        gateway,
        rate_limiter,
        limit=HistoryLimit(gateway.payer, settings.ibkr_history_requests),
        maintenance=parse_maintenance(settings.ibkr_maintenance),
        clock=clock,
    )


def log_absences(database: Database) -> OnAbsence:
    """Writes relevant absences of Interactive Brokers to the system events, without blocking the feed."""
    audit = AuditStore(database)

    def write(absence: Absence | None) -> None:
        message = "Interactive Brokers is available again." if absence is None else f"{absence}."
        severity = Severity.INFO if absence is None else Severity(absence.severity.value)
        try:
            audit.log(event_type="source_away", severity=severity, component="ibkr", message=message)
        except StoreError as error:
            log.warning("The system event could not be written: %s (%s)", message, error)

    def publish(absence: Absence | None) -> None:
        log.warning("Interactive Brokers: %s", absence or "available again")
        asyncio.get_running_loop().run_in_executor(None, write, absence)

    return publish
