"""Compares the ledger with the brokers: each by itself, so that one that is away holds up no other.

What differs is kept, is an incident until a later comparison is equal, and pauses trading if it is critical. A broker
that does not answer is unknown, which neither ends an incident nor begins a pause.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from trading_platform.domain.errors import TradingPlatformError
from trading_platform.domain.severity import Severity
from trading_platform.domain.time import Clock
from trading_platform.domain.trading.orders import Broker
from trading_platform.domain.trading.reconciliation import compare_fills, compare_positions, holdings_of
from trading_platform.sources.base import BrokerAccount
from trading_platform.stores.audit.journal import AuditStore
from trading_platform.stores.postgres.database import Database
from trading_platform.stores.trading.pauses import Pause, PauseStore
from trading_platform.stores.trading.reconciliations import Reconciliation, ReconciliationStore, worst

COMPONENT = "reconciliation"
DIFFERENT = "reconciliation_different"
UNKNOWN = "reconciliation_unknown"
_NAMED = 10


@dataclass(frozen=True)
class Reconciled:
    """What came of a comparison.

    Attributes:
        found: the comparison, stored.
        pause: the pause of trading that it began or that goes on because of it; None if it is not critical.
    """

    found: Reconciliation
    pause: Pause | None = None


def reconcile(database: Database, accounts: Mapping[str, BrokerAccount], day: date, clock: Clock) -> list[Reconciled]:
    """Compares positions and a day's fills with each broker.

    Args:
        database: the database, in the role ``ingest``.
        accounts: the accounts by their broker's name.
        day: day of the fills, in UTC; positions are those of now.
        clock: the present.

    Raises:
        StoreError: if the database cannot be used.
    """
    return [_reconcile(database, name, account, day, clock) for name, account in accounts.items()]


def _reconcile(database: Database, name: str, account: BrokerAccount, day: date, clock: Clock) -> Reconciled:
    store = ReconciliationStore(database)
    found = _compared(store, name, account, day, clock)
    found = replace(found, number=store.add(found))
    _say(database, found)
    if worst(found.differences) is not Severity.CRITICAL:
        return Reconciled(found)
    because = f"The ledger and {name} differ; `trading-platform reconcile show {found.number}` has the differences."
    pauses = PauseStore(database)
    going = next((pause for pause in pauses.going(clock()) if pause.began_by == f"{COMPONENT} {name}"), None)
    return Reconciled(found, going or pauses.begin(by=f"{COMPONENT} {name}", because=because, at=clock()))


def _compared(store: ReconciliationStore, name: str, account: BrokerAccount, day: date, clock: Clock) -> Reconciliation:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    end = start + timedelta(days=1)
    broker = Broker(name)
    before = store.fills(broker)
    try:
        fills, positions = account.fills(start, end), account.positions()
    except TradingPlatformError as error:
        return Reconciliation(0, name, day, clock(), "unknown", 0, 0, str(error))
    ours = store.fills(broker)
    if [fill.id for fill in before] != [fill.id for fill in ours]:  # a fill was booked meanwhile: ask again, once
        try:
            fills, positions = account.fills(start, end), account.positions()
        except TradingPlatformError as error:
            return Reconciliation(0, name, day, clock(), "unknown", 0, 0, str(error))
        ours = store.fills(broker)
    held = holdings_of(ours)
    of_day = [fill for fill in ours if start <= fill.executed_at < end]
    differences = (*compare_positions(held, positions), *compare_fills(broker, of_day, fills))
    symbols = {*held, *(position.symbol for position in positions)}
    result = "different" if differences else "equal"
    return Reconciliation(0, name, day, clock(), result, len(symbols), len(fills), None, differences)


def _say(database: Database, found: Reconciliation) -> None:
    audit = AuditStore(database)
    about = {"broker": found.broker, "day": found.day.isoformat(), "reconciliation": found.number}
    incidents = {DIFFERENT: found.result == "different", UNKNOWN: found.result == "unknown"}
    severities = {DIFFERENT: worst(found.differences) or Severity.INFO, UNKNOWN: Severity.WARNING}
    for event_type, goes_on in incidents.items():
        if not goes_on and (event_type == DIFFERENT and found.result == "unknown"):
            continue  # nobody knows whether it is over
        last = audit.events(event_type=event_type, component=COMPONENT, limit=100)
        name = f"{event_type}:{found.broker}"
        was = next((each for each in last if (each.metadata or {}).get("incident") == name), None)
        if not goes_on and (was is None or was.metadata.get("over")):
            continue
        audit.log(
            event_type=event_type,
            severity=severities[event_type] if goes_on else Severity.INFO,
            component=COMPONENT,
            message=_words(found) if goes_on else f"The ledger and {found.broker} are equal again.",
            metadata={**about, "incident": name, "over": not goes_on},
        )


def _words(found: Reconciliation) -> str:
    if found.result == "unknown":
        return f"{found.broker} could not be compared with the ledger: {found.reason}"
    named = "; ".join(each.words for each in found.differences[:_NAMED])
    more = len(found.differences) - _NAMED
    rest = f"; and {more} more" if more > 0 else ""
    return f"{len(found.differences)} differences between the ledger and {found.broker} on {found.day}: {named}{rest}"


def page_of(found: Reconciliation) -> str:
    """A comparison as Markdown, for a person."""
    head = f"# {found.broker}, {found.day}: {found.result}\n\nCompared at {found.compared_at:%Y-%m-%d %H:%M} UTC: "
    head += f"{found.positions} positions, {found.fills} fills.\n"
    if found.reason:
        return f"{head}\n{found.reason}\n"
    if not found.differences:
        return head
    rows = [
        f"| {each.severity} | {each.about} | {each.symbol} | {each.kind.replace('_', ' ')} | {each.subject} "
        f"| {each.ours or ''} | {each.theirs or ''} |"
        for each in found.differences
    ]
    table = ["| severity | about | symbol | kind | id | ledger | broker |", "|---|---|---|---|---|---|---|", *rows]
    return f"{head}\n" + "\n".join(table) + "\n"
