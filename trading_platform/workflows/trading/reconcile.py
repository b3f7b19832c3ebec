"""Compares the ledger with the brokers: each by itself, so that one that is away holds up no other.

What differs is kept, is an incident until a later comparison is equal, and pauses trading if it is critical. A broker
that does not answer is unknown, which neither ends an incident nor begins a pause.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from trading_platform.domain.errors import InvalidRequest, SourceRejected, TradingPlatformError
from trading_platform.domain.market.instruments import Instrument, guess_instrument
from trading_platform.domain.severity import Severity
from trading_platform.domain.time import Clock, Window
from trading_platform.domain.trading.broker import BrokerFill, BrokerOrder, BrokerPosition, Settlement
from trading_platform.domain.trading.cash import CashState, cash_states, compare_cash
from trading_platform.domain.trading.open_orders import OPEN, compare_open_orders
from trading_platform.domain.trading.orders import Broker, Fill, Order, fill_uuid
from trading_platform.domain.trading.reconciliation import compare_fills, compare_positions, holdings_of
from trading_platform.sources.base import BrokerAccount
from trading_platform.stores.audit.journal import AuditStore
from trading_platform.stores.config.instruments import InstrumentStore
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


def reconcile(
    database: Database, accounts: Mapping[str, BrokerAccount], day: date | None, clock: Clock
) -> list[Reconciled]:
    """Compares positions, open orders, cash and a day's fills with each broker.

    Args:
        database: the database, in the role ``ingest``.
        accounts: the accounts by their broker's name.
        day: day of the fills, as each broker counts days; None: its present one. Everything else is that of now. Fills
            since the last comparison before that day are compared, too.
        clock: the present.

    Raises:
        StoreError: if the database cannot be used.
    """
    return [_reconcile(database, name, account, day or account.today(), clock) for name, account in accounts.items()]


def _reconcile(database: Database, name: str, account: BrokerAccount, day: date, clock: Clock) -> Reconciled:
    store = ReconciliationStore(database)
    instruments = InstrumentStore(database).all()
    found, compared = _compared(store, instruments, name, account, day, clock)
    found = replace(found, number=store.add(found))
    _say(database, found, compared)
    if worst(found.differences) is not Severity.CRITICAL:
        return Reconciled(found)
    because = f"The ledger and {name} differ; `trading-platform reconcile show {found.number}` has the differences."
    pauses = PauseStore(database)
    going = next((pause for pause in pauses.going(clock()) if pause.began_by == f"{COMPONENT} {name}"), None)
    return Reconciled(found, going or pauses.begin(by=f"{COMPONENT} {name}", because=because, at=clock()))


@dataclass(frozen=True)
class _Account:
    """What a broker says, at about one time.

    ``fills``, ``cash`` and ``orders`` are None if the broker does not show them; ``not_compared`` says why.
    """

    fills: list[BrokerFill] | None
    positions: list[BrokerPosition]
    cash: dict[str, Decimal] | None
    settlements: dict[str, Settlement]
    orders: list[BrokerOrder] | None
    not_compared: tuple[str, ...]


def _compared(
    store: ReconciliationStore,
    instruments: Mapping[str, Instrument],
    name: str,
    account: BrokerAccount,
    day: date,
    clock: Clock,
) -> tuple[Reconciliation, frozenset[str]]:
    """The comparison, and what was compared: ``position``, ``fill``, ``order``, ``cash``."""
    broker = Broker(name)
    window = account.day(day, store.fills_compared_until(name, day))
    ours, orders = store.fills(broker), store.orders(broker, ())
    for _ in range(2):  # what is booked while the broker is asked is no difference: it is asked again, once
        asked_at = clock()
        symbols = sorted({fill.symbol for fill in ours})
        traded = [instruments.get(symbol) or guess_instrument(symbol, name) for symbol in symbols]
        try:
            said = _ask(account, window, traded)
        except TradingPlatformError as error:
            return Reconciliation(0, name, day, clock(), "unknown", 0, 0, str(error)), frozenset()
        before = _state(ours, orders)
        ours, orders = store.fills(broker), store.orders(broker, [order.order_id for order in said.orders or ()])
        if _state(ours, orders) == before:
            break
    held = holdings_of(ours, said.settlements)
    differences, compared = compare_positions(held, said.positions), {"position"}
    if said.fills is not None:
        named = {fill_uuid(broker, number) for fill in said.fills for number in (fill.execution_id, *fill.replaces)}
        of_day = [fill for fill in ours if fill.executed_at in window or fill.id in named]
        differences += compare_fills(broker, of_day, said.fills)
        compared.add("fill")
    if said.orders is not None:
        differences += compare_open_orders(orders, said.orders)
        compared.add("order")
    notes, cash = list(said.not_compared), _cash_of(said, ours)
    if isinstance(cash, str):
        notes.append(cash)
    elif cash is not None:
        last = store.last_cash(name)
        if last is None:
            notes.append("cash: it is compared after the first comparison whose fills and positions are equal")
        else:
            differences += compare_cash(last, cash)
            compared.add("cash")
    result = "different" if differences else "equal" if said.fills is not None else "unknown"
    states = cash if isinstance(cash, dict) else {}
    found = Reconciliation(
        0,
        name,
        day,
        clock(),
        result,
        len({*held, *(position.symbol for position in said.positions)}),
        len(said.fills or ()),
        "; ".join(notes) if result == "unknown" else None,
        0 if said.orders is None else _count(orders, said.orders),
        ("; ".join(notes) or None) if result != "unknown" else None,
        has_cash=isinstance(cash, dict) and said.fills is not None,
        fills_until=None if said.fills is None else min(window.end, asked_at),
        differences=tuple(differences),
        cash=states,
    )
    return found, frozenset(compared)


def _cash_of(said: _Account, ours: Sequence[Fill]) -> dict[str, CashState] | str | None:
    """The balances with what the fills explain of them; why that is not known; None if the broker shows none."""
    if said.cash is None:
        return None
    unsettled = sorted({fill.symbol for fill in ours} - set(said.settlements))
    if unsettled:
        return f"cash: what fills of {', '.join(unsettled)} are paid in is not known"
    return cash_states(said.cash, ours, said.settlements)


def _count(ours: Sequence[Order], theirs: Sequence[BrokerOrder]) -> int:
    """The number of orders over both sides."""
    return len({*(order.broker_order_id or str(order.id) for order in ours), *(order.order_id for order in theirs)})


def _state(fills: Sequence[Fill], orders: Sequence[Order]) -> tuple[object, ...]:
    """What changes when something is booked."""
    going = [(order.id, order.status, order.filled_qty) for order in orders if order.status in OPEN]
    return [(fill.id, fill.quantity) for fill in fills], going


def _ask(account: BrokerAccount, window: Window, traded: Sequence[Instrument]) -> _Account:
    fills, orders, cash, settlements, notes = None, None, None, {}, []
    try:
        fills = account.fills(window.start, window.end)
    except SourceRejected as error:
        notes.append(f"fills: {error}")
    positions = account.positions()
    try:
        orders = account.open_orders()
    except SourceRejected as error:
        notes.append(f"open orders: {error}")
    try:
        cash = {each.asset: each.amount for each in account.cash()}
    except SourceRejected as error:
        notes.append(f"cash: {error}")
    for instrument in traded:
        # The position of one that is not listed any more goes by its own symbol.
        with suppress(SourceRejected, InvalidRequest):
            settlements[instrument.symbol] = account.settlement(instrument)
    return _Account(fills, positions, cash, settlements, orders, tuple(notes))


def _say(database: Database, found: Reconciliation, compared: frozenset[str]) -> None:
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
        if not goes_on:
            if was is None or was.metadata.get("over"):
                continue
            if event_type == DIFFERENT and not _covers(database, was.metadata, compared):
                continue  # what differed was not compared this time
        audit.log(
            event_type=event_type,
            severity=severities[event_type] if goes_on else Severity.INFO,
            component=COMPONENT,
            message=_words(found) if goes_on else f"The ledger and {found.broker} are equal again.",
            metadata={**about, "incident": name, "over": not goes_on},
        )


def _covers(database: Database, began: Mapping[str, object], compared: frozenset[str]) -> bool:
    """Whether a comparison was of all that differed in the one that an event names."""
    differed = ReconciliationStore(database).get(int(str(began["reconciliation"]))).differences
    return {each.about for each in differed} <= compared


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
    head += f"{found.positions} positions, {found.orders} open orders, {found.fills} fills.\n"
    if found.not_compared:
        head += f"\nNot compared: {found.not_compared}\n"
    if found.accepted_at:
        head += f"\nThe cash was accepted by {found.accepted_by}: {found.accepted_because}\n"
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
