"""Fetches splits and dividends from vendors, symbol by symbol, and stores the new ones.

:mod:`trading_platform.workflows.corporate_actions.import_actions` imports files. The next computation of features and
indicators recomputes what a new split affects; the sensor ``recompute_after_split`` requests it at once.
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
"""The configured sources of actions, by the name that an instrument gives as its source."""

_WITH_ACTIONS = (AssetClass.EQUITY, AssetClass.ETF)


@dataclass(frozen=True)
class FetchedActions:
    """Result for one symbol.

    Attributes:
        symbol: the symbol.
        splits, dividends: how many the source returned.
        changed: how many were new or changed.
        differing: how many keep their imported values although the source has others.
        error: why the fetch failed.
    """

    symbol: str
    splits: int = 0
    dividends: int = 0
    changed: int = 0
    differing: int = 0
    error: SourceError | InvalidRequest | ConfigurationError | None = None


def with_actions(universe: Mapping[str, Instrument], sources: ActionSources) -> list[Instrument]:
    """The instruments with actions to fetch: shares and funds of these sources."""
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
    """Updates the actions of some instruments from their sources.

    Actions that a source no longer returns stay: their absence does not prove that they never happened.

    Args:
        stores: the stores to write to.
        sources: the configured sources of actions by name.
        instruments: the instruments to fetch, as :func:`with_actions` returns them.
        clock: the current time.
        progress: called after each symbol.

    Returns:
        One result per symbol, in order; failures do not affect the others. A source that has asked to slow down is
        not requested again.
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
