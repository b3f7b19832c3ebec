"""Reads of what is wrong, what pauses trading, and how the ledger compares with the brokers.

:class:`trading_platform.client.platform.Platform` has these reads. docs/alerts.md explains incidents,
docs/reconciliation.md pauses and comparisons. ``Platform.alerts`` publishes alerts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trading_platform.domain.severity import Severity
from trading_platform.domain.time import Clock
from trading_platform.stores.postgres.records import choice
from trading_platform.stores.stores import Stores

if TYPE_CHECKING:
    from trading_platform.domain.alerts.incidents import Incident
    from trading_platform.domain.alerts.observers import Observer
    from trading_platform.stores.trading.pauses import Pause
    from trading_platform.stores.trading.reconciliations import Reconciliation


class Incidents:
    """What is known to be wrong.

    Args:
        stores: the stores to read.
        clock: the time of reads as of now.
    """

    def __init__(self, stores: Stores, clock: Clock) -> None:
        self._stores = stores
        self._clock = clock

    def incidents(self, *, open_only: bool = True, at_least: str = Severity.INFO, limit: int = 100) -> list[Incident]:
        """Incidents: first those that go on, the newest first; then those that are over.

        None is no proof that nothing is wrong: incidents are found while ``trading-platform alerts run``, ``stream`` or
        ``dev`` looks for them. :meth:`observers` says whether one does.

        Args:
            open_only: only those that go on.
            at_least: the lowest severity: ``info``, ``warning``, ``error`` or ``critical``.
            limit: at most so many.

        Raises:
            InvalidRequest: for another severity, or a limit that is no positive number.
        """
        from trading_platform.stores.alerts.incidents import IncidentStore

        severity = choice(Severity, at_least, "severity")
        return IncidentStore(self._stores.database).listed(open_only=open_only, at_least=severity, limit=limit)

    def observers(self) -> list[Observer]:
        """The processes that look for problems, by name: without one that is not silent, no incident is found."""
        from trading_platform.stores.alerts.incidents import IncidentStore

        return IncidentStore(self._stores.database).observers()

    def pauses(self) -> list[Pause]:
        """The pauses of trading that go on, by number: with one, no order can be placed, or only some as a trial."""
        from trading_platform.stores.trading.pauses import PauseStore

        return PauseStore(self._stores.database).going(self._clock())

    def reconciliations(self, limit: int = 50) -> list[Reconciliation]:
        """The newest comparisons of the ledger with brokers, without their differences.

        Raises:
            InvalidRequest: for a limit that is no positive number.
        """
        from trading_platform.stores.trading.reconciliations import ReconciliationStore

        return ReconciliationStore(self._stores.database).all(limit)

    def reconciliation(self, number: int) -> Reconciliation:
        """A comparison of the ledger with a broker, with its differences.

        Raises:
            InvalidRequest: if there is none of this number.
        """
        from trading_platform.stores.trading.reconciliations import ReconciliationStore

        return ReconciliationStore(self._stores.database).get(number)
