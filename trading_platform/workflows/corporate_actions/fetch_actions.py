"""Asks vendors for splits and dividends, symbol by symbol, and stores what is new.

Files are imported in :mod:`trading_platform.workflows.corporate_actions.import_actions`. What a new split touches is
made anew where features and indicators are computed next; the sensor ``recompute_after_split`` asks for it at once.
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
"""Who is asked, by the name an instrument gives as its source."""

_WITH_ACTIONS = (AssetClass.EQUITY, AssetClass.ETF)


@dataclass(frozen=True)
class FetchedActions:
    """What came of one symbol.

    Attributes:
        symbol: which.
        splits, dividends: how many the source knows.
        changed: how many were new, or not as they were.
        differing: how many are kept as a person imported them, though the source says otherwise.
        error: why it could not be had.
    """

    symbol: str
    splits: int = 0
    dividends: int = 0
    changed: int = 0
    differing: int = 0
    error: SourceError | InvalidRequest | ConfigurationError | None = None


def with_actions(universe: Mapping[str, Instrument], sources: ActionSources) -> list[Instrument]:
    """The instruments whose actions somebody can be asked for: shares and funds of these sources."""
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
    """Brings the actions of some instruments to what their sources know.

    What a source no longer tells of stays: that it has forgotten is no proof that it never was.

    Args:
        stores: where to.
        sources: who is asked.
        instruments: whose, as :func:`with_actions` gives them.
        clock: the present.
        progress: told after each symbol.

    Returns:
        One result a symbol, in order; those that failed do not touch the others. After a source has asked to slow
        down it is not asked again.
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
