"""Interactive Brokers as the settings have it: where the gateway is, who asks, and within which limits."""

from __future__ import annotations

from trading_platform.domain.errors import ConfigurationError
from trading_platform.domain.time import Clock
from trading_platform.settings import Settings
from trading_platform.sources.ibkr.client import IbkrClient
from trading_platform.sources.ibkr.limits import HistoryLimit
from trading_platform.sources.ibkr.maintenance import parse_maintenance
from trading_platform.sources.ibkr.session import Gateway
from trading_platform.sources.limits import Budget


def gateway_of(settings: Settings) -> Gateway:
    """Where TWS or the gateway is.

    Raises:
        ConfigurationError: if it is not said.
    """
    if settings.ibkr_host is None:
        raise ConfigurationError(
            "It is not configured where Interactive Brokers' TWS or gateway is.",
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


def open_client(settings: Settings, budget: Budget, clock: Clock) -> IbkrClient:
    """A client of the configured gateway; it connects when it is first asked.

    Raises:
        ConfigurationError: if none is configured, or ``IBKR_MAINTENANCE`` cannot be read.
    """
    gateway = gateway_of(settings)
    return IbkrClient(
        gateway,
        budget,
        limit=HistoryLimit(gateway.payer, settings.ibkr_history_requests),
        maintenance=parse_maintenance(settings.ibkr_maintenance),
        clock=clock,
    )
