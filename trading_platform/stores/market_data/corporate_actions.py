"""Stores splits and dividends (``market_data.corporate_actions``).

The adjustment is defined in :mod:`trading_platform.domain.market.corporate_actions`. The actions come from
:mod:`trading_platform.workflows.corporate_actions.import_actions` and
:mod:`trading_platform.workflows.corporate_actions.fetch_actions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any

from trading_platform.domain.derived.splits import Splits
from trading_platform.domain.market.adjustment import Closes
from trading_platform.domain.market.corporate_actions import ActionKind, CorporateAction
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.postgres.sql import query


@dataclass(frozen=True)
class Saved:
    """Outcome of storing actions.

    Attributes:
        changed: actions that are new or were changed.
        kept: actions that were stored with equal content already, or that a user has imported, which takes
            precedence over vendors.
    """

    changed: tuple[CorporateAction, ...]
    kept: tuple[CorporateAction, ...]


class CorporateActionStore:
    """The table ``market_data.corporate_actions``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(
        self, symbols: Sequence[str] | None = None, kinds: Iterable[ActionKind] = tuple(ActionKind)
    ) -> list[CorporateAction]:
        """Actions of some symbols (None: all), sorted by symbol and date."""
        parameters = {
            "symbols": None if symbols is None else list(symbols),
            "kinds": [kind.value for kind in kinds],
        }
        return [
            action_of_row(row) for row in self._database.rows(query("market_data/corporate_actions/read"), parameters)
        ]

    def splits(self, symbols: Sequence[str]) -> Splits:
        """The splits of these symbols, with the dates of their sessions; symbols without splits are left out."""
        found: dict[str, list[tuple[datetime, Fraction]]] = {}
        for action in self.read(symbols, (ActionKind.SPLIT,)):
            if action.ratio is not None:
                found.setdefault(action.symbol, []).append((action.ex_date, action.ratio))
        return found

    def version_of_splits(self) -> str:
        """A text that changes whenever a split is stored, changed or removed."""
        version: str = self._database.rows(query("market_data/corporate_actions/version_of_splits"))[0][0]
        return version

    def closes_before(self, actions: Sequence[CorporateAction]) -> Closes:
        """By symbol and ex-date, date and raw close of the last daily bar before it; without one it is left out."""
        parameters = {
            "symbols": [action.symbol for action in actions],
            "dates": [action.ex_date for action in actions],
        }
        rows = self._database.rows(query("market_data/corporate_actions/closes_before"), parameters)
        return {(symbol, ex_date): (time, close) for symbol, ex_date, time, close in rows}

    def save(self, actions: Iterable[CorporateAction], changed_at: datetime) -> Saved:
        """Stores actions, all or none; an unchanged one is not written again.

        Args:
            actions: new actions, or corrections of those with the same symbol, date and kind.
            changed_at: current time.
        """
        changed: list[CorporateAction] = []
        kept: list[CorporateAction] = []
        statement = query("market_data/corporate_actions/save")
        with self._database.begin() as connection:
            for action in actions:
                wrote = execute(connection, statement, _parameters(action, changed_at))
                (changed if wrote else kept).append(action)
        return Saved(tuple(changed), tuple(kept))

    def remove(self, symbol: str, ex_date: datetime, kind: ActionKind) -> bool:
        """Deletes an action; False if there is none."""
        with self._database.begin() as connection:
            parameters = {"symbol": symbol, "ex_date": ex_date, "kind": kind.value}
            return bool(execute(connection, query("market_data/corporate_actions/remove"), parameters))


def _parameters(action: CorporateAction, changed_at: datetime) -> dict[str, object]:
    return {
        "symbol": action.symbol,
        "ex_date": action.ex_date,
        "kind": action.kind.value,
        "new_shares": action.ratio.numerator if action.ratio else None,
        "old_shares": action.ratio.denominator if action.ratio else None,
        "amount": action.amount,
        "currency": action.currency,
        "close_before": action.close_before,
        "source": action.source,
        "known_at": action.known_at,
        "changed_at": changed_at,
    }


def action_of_row(row: tuple[Any, ...]) -> CorporateAction:
    """The action of a row of ``market_data/corporate_actions/read``."""
    symbol, ex_date, kind, new_shares, old_shares, amount, currency, close_before, source, known_at = row
    return CorporateAction(
        symbol=symbol,
        ex_date=ex_date,
        kind=ActionKind(kind),
        ratio=Fraction(new_shares, old_shares) if new_shares else None,
        amount=amount,
        currency=currency,
        close_before=close_before,
        source=source,
        known_at=known_at,
    )
