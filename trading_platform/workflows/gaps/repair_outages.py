"""Repairs outages: requests the minutes in which a feed was down or delivered events too late.

The live path records outages (:mod:`trading_platform.stores.market_data.completeness.outages`). A repair requests
exactly these minutes from the instrument's source and stores the response as a backfill does; an interrupted repair is
retried, and stored minutes are not requested again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from trading_platform.domain.errors import ConfigurationError, InvalidRequest, SourceError, TradingPlatformError
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Clock, Timeframe, Window
from trading_platform.stores.audit.journal import AuditStore
from trading_platform.stores.market_data.completeness.outages import Outage, OutageState
from trading_platform.stores.stores import Stores
from trading_platform.workflows.backfill.request_bars import repair_window, unanswered
from trading_platform.workflows.bars.bar_sources import Sources, source_of
from trading_platform.workflows.gaps.recompute_derived import recompute_derived

ATTEMPTS = 6
"""Attempts per outage; with the waits between them they span about half an hour of source downtime."""

FIRST_WAIT = timedelta(minutes=1)
"""How long to wait after the first failed attempt; twice as long after each further one."""

AT_MOST = timedelta(minutes=15)
"""After this time an unfinished repair counts as failed."""


TOGETHER = 20
"""Outages of one symbol repaired together: one or two requests each, finished well within :data:`AT_MOST`."""


@dataclass(frozen=True)
class Repair:
    """Result of an attempt to repair an outage.

    Attributes:
        outage: the outage as claimed, with this attempt counted.
        state: repaired, closed (to be retried) or failed_permanently.
        note: the outcome, as text.
    """

    outage: Outage
    state: OutageState
    note: str


def repair_outages(
    stores: Stores, sources: Sources, *, clock: Clock, only: Sequence[int] | None = None, limit: int = 100
) -> list[Repair]:
    """Repairs ended outages that are due; a failure does not stop the others.

    Args:
        stores: the stores of bars and outages.
        sources: the configured sources.
        clock: determines what is due.
        only: numbers of the outages to repair, unless they are not due; None: all.
        limit: maximum number of outages.

    Returns:
        The result of each outage that was due and not claimed by another process.

    Raises:
        StoreError: if the database does not answer; the outages in progress are due again after :data:`AT_MOST`.
    """
    wanted = [outage.id for outage in stores.outages.due(clock(), limit)] if only is None else list(only)[:limit]
    repairs = []
    for numbers in _together(stores, wanted):
        begun = [stores.outages.begin(number, clock(), AT_MOST) for number in numbers]
        outages = [outage for outage in begun if outage is not None]
        if outages:
            repairs += _repair(stores, sources, outages, clock)
    return repairs


def _together(stores: Stores, wanted: Sequence[int]) -> list[list[int]]:
    """The outages grouped by symbol, a few at once: derived data is recomputed once for each group."""
    symbols = stores.outages.symbols(wanted)
    by_symbol: dict[str, list[int]] = {}
    for number in wanted:
        if number in symbols:
            by_symbol.setdefault(symbols[number], []).append(number)
    return [
        numbers[start : start + TOGETHER]
        for numbers in by_symbol.values()
        for start in range(0, len(numbers), TOGETHER)
    ]


def _repair(stores: Stores, sources: Sources, outages: Sequence[Outage], clock: Clock) -> list[Repair]:
    """Repairs outages of one symbol."""
    symbol = outages[0].symbol
    try:
        instrument = stores.instruments.require([symbol])[symbol]
    except InvalidRequest:
        return [_fail_permanently(stores, outage, f"{symbol} has left the universe") for outage in outages]
    responses = [(outage, _request(stores, sources, instrument, outage, clock)) for outage in outages]
    # In any case: an interrupted repair may have stored minutes without recomputing what is derived from them.
    stores.retention.refresh_hours(clock())
    windows = Window.merge(_window(outage) for outage in outages)
    recompute_derived(stores, sources, [instrument], {(symbol, Timeframe.M1): windows}, clock)
    return [
        _mark(stores, outage, response, clock) if isinstance(response, str) else _fail(stores, outage, response, clock)
        for outage, response in responses
    ]


def _mark(stores: Stores, outage: Outage, note: str, clock: Clock) -> Repair:
    with stores.database.begin() as connection:
        stores.outages.repaired(connection, outage, clock(), note)
    return Repair(outage, OutageState.REPAIRED, note)


def _window(outage: Outage) -> Window:
    window = outage.window()
    assert window is not None, "an outage that goes on is never due"  # noqa: S101 - for the type checker
    return window


def _request(
    stores: Stores, sources: Sources, instrument: Instrument, outage: Outage, clock: Clock
) -> str | TradingPlatformError:
    """Requests the minutes of an outage; returns the result in words, or the error."""
    window = _window(outage)
    try:
        source = source_of(sources, instrument)
        changes = repair_window(stores, source, instrument, Timeframe.M1, window, clock)
    except (SourceError, InvalidRequest, ConfigurationError) as error:
        return error
    left = unanswered(stores, source, instrument, Timeframe.M1, window)
    if left:
        return SourceError(
            f"{source.name} did not return all minutes of an outage of {instrument.symbol}.",
            expected=f"a response for {window}",
            received=f"none for {', '.join(map(str, left))}",
            remedy="`trading-platform coverage` shows what is missing",
        )
    if not changes:
        return f"{source.name} had answered for {window} in the meantime"
    outcome = "bars changed" if any(changes) else "nothing was missing"
    return f"{source.name} was requested for {window}; {outcome}"


def _fail(stores: Stores, outage: Outage, error: TradingPlatformError, clock: Clock) -> Repair:
    if outage.attempts >= ATTEMPTS:
        return _fail_permanently(stores, outage, f"after {outage.attempts} attempts: {error}")
    wait = FIRST_WAIT * 2 ** (outage.attempts - 1)
    stores.outages.failed(outage, str(error), clock() + wait)
    return Repair(outage, OutageState.CLOSED, str(error))


def _fail_permanently(stores: Stores, outage: Outage, note: str) -> Repair:
    with stores.database.begin() as connection:
        stores.outages.failed_permanently(connection, outage, note)
        AuditStore(stores.database).add_event(
            connection,
            event_type="outage_failed_permanently",
            severity="warning",
            component="repair_outages",
            message=f"An outage of {outage.symbol} at {outage.source} is not repaired: {note}",
            metadata={
                "outage": outage.id,
                "symbol": outage.symbol,
                "source": outage.source,
                "window": str(outage.window()),
            },
        )
    return Repair(outage, OutageState.FAILED_PERMANENTLY, note)
