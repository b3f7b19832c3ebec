"""Keeps splits and dividends (``market_data.corporate_actions``).

What adjusting by them means is in :mod:`trading_platform.domain.market.corporate_actions`; who brings them in is in
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
    """What became of actions that were to be stored.

    Attributes:
        changed: new, or not as they were.
        kept: there already, as they are; or imported by a person, which weighs more than what a vendor says.
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
        """Actions of some symbols (None: of all), sorted by symbol and date."""
        parameters = {
            "symbols": None if symbols is None else list(symbols),
            "kinds": [kind.value for kind in kinds],
        }
        return [_action(row) for row in self._database.rows(query("market_data/corporate_actions/read"), parameters)]

    def splits(self, symbols: Sequence[str]) -> Splits:
        """The splits of these symbols, by the dates of their sessions; symbols without any are left out."""
        found: dict[str, list[tuple[datetime, Fraction]]] = {}
        for action in self.read(symbols, (ActionKind.SPLIT,)):
            if action.ratio is not None:
                found.setdefault(action.symbol, []).append((action.ex_date, action.ratio))
        return found

    def version_of_splits(self) -> str:
        """A text that is another one whenever a split was stored, changed or removed."""
        version: str = self._database.rows(query("market_data/corporate_actions/version_of_splits"))[0][0]
        return version

    def closes_before(self, actions: Sequence[CorporateAction]) -> Closes:
        """By symbol and ex-date, the last daily bar before: its date and raw close; absent where there is none."""
        parameters = {
            "symbols": [action.symbol for action in actions],
            "dates": [action.ex_date for action in actions],
        }
        rows = self._database.rows(query("market_data/corporate_actions/closes_before"), parameters)
        return {(symbol, ex_date): (time, close) for symbol, ex_date, time, close in rows}

    def save(self, actions: Iterable[CorporateAction], changed_at: datetime) -> Saved:
        """Stores actions, all or none; one that is there already is not written again.

        Args:
            actions: new ones, or corrections of those of the same symbol, date and kind.
            changed_at: the present.
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
        """Forgets an action; False if there is none."""
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
        "source": action.source,
        "known_at": action.known_at,
        "changed_at": changed_at,
    }


def _action(row: tuple[Any, ...]) -> CorporateAction:
    symbol, ex_date, kind, new_shares, old_shares, amount, currency, source, known_at = row
    return CorporateAction(
        symbol=symbol,
        ex_date=ex_date,
        kind=ActionKind(kind),
        ratio=Fraction(new_shares, old_shares) if new_shares else None,
        amount=amount,
        currency=currency,
        source=source,
        known_at=known_at,
    )
