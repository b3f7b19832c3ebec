"""Fetches splits and dividends from vendors, symbol by symbol, and stores new ones.

Files are imported in :mod:`trading_platform.workflows.corporate_actions.import_actions`. Features and indicators that a
new split affects are recomputed by the next computation; the sensor ``recompute_stale`` requests it at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trading_platform.domain.errors import ConfigurationError, InvalidRequest, RateLimited, SourceError
from trading_platform.domain.market.corporate_actions import CorporateAction
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Clock
from trading_platform.sources.base import ActionSource
from trading_platform.stores.stores import Stores
from trading_platform.workflows.progress import Progress, silent

ActionSources = Mapping[str, ActionSource]
"""The sources of actions, by the name that instruments give as their source."""

_WITH_ACTIONS = (AssetClass.EQUITY, AssetClass.ETF)


@dataclass(frozen=True)
class FetchedActions:
    """Result for one symbol.

    Attributes:
        symbol: the symbol.
        splits, dividends: how many the source has.
        changed: how many were new or changed.
        differing: how many differ from the source and were kept, because a user imported them.
        error: the error, if the request failed.
    """

    symbol: str
    splits: int = 0
    dividends: int = 0
    changed: int = 0
    differing: int = 0
    error: SourceError | InvalidRequest | ConfigurationError | None = None


def with_actions(universe: Mapping[str, Instrument], sources: ActionSources) -> list[Instrument]:
    """The instruments with fetchable actions: shares and funds of these sources."""
    return [
        instrument
        for instrument in universe.values()
        if instrument.asset_class in _WITH_ACTIONS and instrument.source in sources
    ]


def fetch_actions(
    stores: Stores,
    sources: ActionSources,
    instruments: Sequence[Instrument],
    *,
    clock: Clock,
    progress: Progress = silent,
) -> list[FetchedActions]:
    """Fetches the actions of some instruments and stores new and changed ones.

    Actions that a source no longer reports stay: their absence does not prove that they never happened.

    Args:
        stores: the stores to write to.
        sources: the sources of actions.
        instruments: the instruments, from :func:`with_actions`.
        clock: source of the current time.
        progress: receives a report after each symbol.

    Returns:
        One result per symbol, in order; failures do not affect other symbols. A source that has reported its rate
        limit is not called again.
    """
    done: list[FetchedActions] = []
    throttled: dict[str, RateLimited] = {}
    for number, instrument in enumerate(instruments, start=1):
        done.append(_fetch_one(stores, sources[instrument.source], instrument, throttled, clock))
        progress("corporate actions", number, len(instruments))
    return done


def _fetch_one(
    stores: Stores, source: ActionSource, instrument: Instrument, throttled: dict[str, RateLimited], clock: Clock
) -> FetchedActions:
    if source.name in throttled:
        return FetchedActions(instrument.symbol, error=throttled[source.name])
    try:
        actions = source.actions(instrument)
    except (SourceError, InvalidRequest, ConfigurationError) as error:
        if isinstance(error, RateLimited):
            throttled[source.name] = error
        return FetchedActions(instrument.symbol, error=error)
    saved = stores.corporate_actions.save(actions, clock())
    splits = sum(action.ratio is not None for action in actions)
    stored = {(action.ex_date, action.kind): action for action in stores.corporate_actions.read([instrument.symbol])}
    differing = [one for one in saved.kept if _terms(stored[one.ex_date, one.kind]) != _terms(one)]
    return FetchedActions(instrument.symbol, splits, len(actions) - splits, len(saved.changed), len(differing))


def _terms(action: CorporateAction) -> tuple[object, object]:
    return action.ratio, action.amount
