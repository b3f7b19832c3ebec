"""``Platform.quarantine``: rejected rows, to read; a person releases and drops them by the command ``quarantine``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from trading_platform.stores.market_data.quarantine import QuarantineStore, RejectedRow, RowFilter


class Quarantine:
    """Reads rejected rows and what was decided about them."""

    def __init__(self, store: QuarantineStore) -> None:
        self._store = store

    def list(
        self,
        *,
        symbol: str | None = None,
        source: str | None = None,
        reason: str | None = None,
        since: datetime | None = None,
        undecided: bool = True,
        limit: int = 1000,
    ) -> Sequence[RejectedRow]:
        """Rejected rows, newest first.

        Args:
            symbol: only of this symbol.
            source: only of this source.
            reason: only those that broke this rule.
            since: only those rejected at this time or later.
            undecided: leave out those that were released or dropped.
            limit: at most so many.
        """
        return self._store.listed(RowFilter(symbol, source, reason, since, undecided), limit)

    def counts(self, *, symbol: str | None = None, source: str | None = None, undecided: bool = True) -> dict[str, int]:
        """Number of rejected rows by the rule that they broke, the largest first."""
        return self._store.counts(RowFilter(symbol, source, undecided=undecided))

    def show(self, number: int) -> RejectedRow:
        """One rejected row.

        Raises:
            InvalidRequest: if there is none with that number.
        """
        return self._store.get(number)
