"""The universe: the instruments for which the platform stores data (``config.instruments``).

Configuration, not code: adding a symbol needs no deployment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from difflib import get_close_matches
from typing import Any

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.instruments import AssetClass, Instrument, check_symbol
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.postgres.sql import query

_FEW = 20  # symbols that a message can list

_SELECT = """
SELECT symbol, asset_class, calendar, source, sector, benchmark, tick_size, fallback_sources, lot_size
FROM config.instruments"""


class InstrumentStore:
    """The table ``config.instruments``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[str, Instrument]:
        """All instruments by symbol, in order."""
        return {row[0]: _instrument(row) for row in self._database.rows(f"{_SELECT} ORDER BY symbol")}

    def get(self, symbol: str) -> Instrument | None:
        """The instrument with that symbol, if the universe has it."""
        rows = self._database.rows(f"{_SELECT} WHERE symbol = %(symbol)s", {"symbol": symbol})
        return _instrument(rows[0]) if rows else None

    def require(self, symbols: Sequence[str]) -> dict[str, Instrument]:
        """The instruments with these symbols.

        Raises:
            InvalidRequest: naming each symbol that the universe does not have, and similar ones that it has.
        """
        rows = self._database.rows(f"{_SELECT} WHERE symbol = ANY(%(symbols)s)", {"symbols": list(symbols)})
        found = {row[0]: _instrument(row) for row in rows}
        unknown = [symbol for symbol in symbols if symbol not in found]
        if unknown:
            known = self.all()
            similar = {near for symbol in unknown for near in get_close_matches(symbol.upper(), known, n=3)}
            raise InvalidRequest(
                f"There is no instrument {', '.join(map(repr, unknown))}.",
                expected=f"one of {', '.join(known)}" if 0 < len(known) <= _FEW else f"one of {len(known)} instruments",
                received=", ".join(unknown),
                remedy=(f"did you mean {', '.join(sorted(similar))}? " if similar else "")
                + "`trading-platform instruments list` shows them, "
                + f"`trading-platform instruments add {unknown[0]}` adds one",
            )
        return {symbol: found[symbol] for symbol in symbols}

    def add(self, instrument: Instrument) -> bool:
        """Adds an instrument or changes the one with that symbol; True if it is new."""
        values = {
            **asdict(instrument),
            "asset_class": instrument.asset_class.value,
            "fallback_sources": list(instrument.fallback_sources),
        }
        with self._database.begin() as connection:
            return bool(execute(connection, query("config/instruments/save"), values)[0][0])

    def remove(self, symbol: str) -> bool:
        """Removes an instrument from the universe; its data stays. True if it was in the universe."""
        check_symbol(symbol)
        with self._database.begin() as connection:
            return bool(
                execute(
                    connection,
                    "DELETE FROM config.instruments WHERE symbol = %(symbol)s RETURNING symbol",
                    {"symbol": symbol},
                )
            )


def _instrument(row: tuple[Any, ...]) -> Instrument:
    symbol, asset_class, calendar, source, sector, benchmark, tick_size, fallbacks, lot_size = row
    kind = AssetClass(asset_class)
    return Instrument(symbol, kind, calendar, source, sector, benchmark, tick_size, tuple(fallbacks), lot_size)
