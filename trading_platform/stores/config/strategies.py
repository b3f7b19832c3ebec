"""Strategies and risk limits; the universe is in :mod:`trading_platform.stores.config.instruments`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.instruments import check_symbol
from trading_platform.domain.money import amount
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.postgres.records import (
    checked_count,
    checked_text,
    fetch,
    fetch_readable,
    json_object,
    texts_of,
)
from trading_platform.stores.postgres.sql import query


@dataclass(frozen=True)
class Strategy:
    """One strategy: a row of ``config.strategies``.

    Attributes:
        id: short name.
        name: display name.
        enabled: whether it runs.
        params: its parameters; decimals and times are read back as text.
        allowed_symbols: symbols it may trade; None for all.
        regime_filter: market regimes it runs in; None for all.
        max_positions: maximum number of simultaneous positions; None for no limit.
        created_at: when it was added, UTC.
        updated_at: when it last changed, UTC.
    """

    id: str
    name: str
    enabled: bool
    params: dict[str, Any]
    allowed_symbols: list[str] | None
    regime_filter: list[str] | None
    max_positions: int | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class RiskLimit:
    """One limit: a row of ``config.risk_limits``.

    Attributes:
        key: its name.
        value: the limit.
        description: what it limits, as text.
        updated_at: when it last changed, UTC.
        updated_by: the user or application that changed it.
    """

    key: str
    value: Decimal
    description: str | None
    updated_at: datetime
    updated_by: str


class StrategyStore:
    """The table ``config.strategies``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(
        self,
        strategy_id: str,
        name: str,
        *,
        enabled: bool = False,
        params: Mapping[str, Any] | None = None,
        allowed_symbols: Sequence[str] | None = None,
        regime_filter: Sequence[str] | None = None,
        max_positions: int | None = None,
    ) -> Strategy:
        """Adds a strategy or replaces the one with that id.

        Raises:
            InvalidRequest: if a text is too long, a symbol is invalid, or a parameter cannot be written as JSON.
        """
        row = {
            "id": checked_text(strategy_id, "strategy's id", 50),
            "name": checked_text(name, "strategy's name", 100),
            "enabled": enabled,
            "params": json_object({} if params is None else params, "parameters"),
            "allowed_symbols": None
            if allowed_symbols is None
            else [check_symbol(each) for each in texts_of(allowed_symbols, "symbols")],
            "regime_filter": None
            if regime_filter is None
            else [checked_text(each, "regime") for each in texts_of(regime_filter, "regimes")],
            "max_positions": None if max_positions is None else checked_count(max_positions, "number of positions"),
        }
        with self._database.begin() as connection:
            return fetch(connection, Strategy, query("config/strategies/save_strategy"), row)[0]

    def enable(self, strategy_id: str, *, enabled: bool = True) -> Strategy:
        """Enables or disables a strategy.

        Raises:
            InvalidRequest: if there is no strategy with that id.
        """
        row = {"id": strategy_id, "enabled": enabled}
        with self._database.begin() as connection:
            found = fetch(connection, Strategy, query("config/strategies/enable_strategy"), row)
        if not found:
            raise InvalidRequest(f"There is no strategy {strategy_id!r}.", remedy="save it first, or check the id")
        return found[0]

    def get(self, strategy_id: str) -> Strategy | None:
        """The strategy with that id, if there is one."""
        with self._database.begin() as connection:
            found = fetch(connection, Strategy, query("config/strategies/strategies"), {"id": strategy_id})
        return found[0] if found else None

    def all(self) -> list[Strategy]:
        """All strategies, by id."""
        with self._database.begin() as connection:
            return fetch_readable(connection, Strategy, query("config/strategies/strategies"), {"id": None})


class RiskLimitStore:
    """The table ``config.risk_limits``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def set(
        self, key: str, value: Decimal | int | str, *, description: str | None = None, by: str | None = None
    ) -> RiskLimit:
        """Sets a limit; ``by`` defaults to the session's application name or user.

        Raises:
            InvalidRequest: if a text is too long or the value is not an amount.
        """
        row = {
            "key": checked_text(key, "limit's name", 50),
            "value": amount(value, "limit"),
            "description": checked_text(description, "description") if description is not None else None,
            "by": checked_text(by, "name", 50) if by is not None else None,
        }
        with self._database.begin() as connection:
            return fetch(connection, RiskLimit, query("config/strategies/save_risk_limit"), row)[0]

    def get(self, key: str) -> RiskLimit | None:
        """The limit with that name, if there is one."""
        with self._database.begin() as connection:
            found = fetch(connection, RiskLimit, query("config/strategies/risk_limits"), {"key": key})
        return found[0] if found else None

    def all(self) -> list[RiskLimit]:
        """All limits, by name."""
        with self._database.begin() as connection:
            return fetch_readable(connection, RiskLimit, query("config/strategies/risk_limits"), {"key": None})

    def remove(self, key: str) -> bool:
        """Deletes a limit; True if there was one."""
        with self._database.begin() as connection:
            return bool(
                execute(connection, "DELETE FROM config.risk_limits WHERE key = %(key)s RETURNING key", {"key": key})
            )
