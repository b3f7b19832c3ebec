"""Which features of a stale partition must be computed again: all of them, or those with a changed definition.

The code version of a partition of features is that of the universe and, after a dash, the fingerprint of all
definitions. Where only the latter has changed, the metadata of the month files tells by which definition each column
was computed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Window
from trading_platform.stores.features.definitions import Definitions
from trading_platform.stores.features.files import FeatureStore
from trading_platform.stores.market_data.input_versions import Derived
from trading_platform.stores.stores import Stores

Names = tuple[str, ...] | None
"""Features to compute again; None means all, since bars, splits or the universe have changed. None of them: columns
without a definition are to be removed."""

_PARTLY = "partly"  # in place of the fingerprint, where some features were left as they are


def code_version(definitions: Definitions, inputs: Sequence[str], universe: Mapping[str, Instrument]) -> str:
    """A version that changes with the definitions and with the universe's data about the instruments involved."""
    text = repr([(universe[name].calendar, universe[name].sector, universe[name].benchmark, name) for name in inputs])
    return f"{hashlib.sha256(text.encode()).hexdigest()[:12]}-{definitions.fingerprint}"


def partly(present: Derived) -> Derived:
    """The input versions to record where not all features with a changed definition were computed again."""
    return Derived(present.input_version, f"{_universe_of(present)}-{_PARTLY}", present.splits)


def stale_names(
    stores: Stores, store: FeatureStore, dataset: str, stale: Mapping[str, Mapping[Window, Derived]]
) -> dict[tuple[str, Window], Names]:
    """For each of some stale partitions, the features to compute again; partitions without any are left out.

    Args:
        stores: the stores.
        store: the files of the dataset.
        dataset: the derived dataset.
        stale: for each symbol, the partitions with input versions other than the recorded ones, and the present ones.
    """
    recorded = stores.input_versions.read(dataset, list(stale)) if stale else {}
    found: dict[tuple[str, Window], Names] = {}
    for symbol, windows in stale.items():
        for window, present in windows.items():
            before = recorded.get((symbol, window.start))
            if before is None or _inputs_of(before) != _inputs_of(present):
                found[symbol, window] = None
                continue
            changed = changed_definitions(store, symbol, window)
            if any(changed):
                found[symbol, window] = changed[0]
    return found


def changed_definitions(store: FeatureStore, symbol: str, window: Window) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The features that a partition's files do not have by their present definition, and those no longer defined."""
    definitions = store.definitions
    months = store.stamps(symbol, window)
    changed = tuple(
        name
        for name in definitions.features.names
        if any(stamps.get(name, (0, ""))[1] != definitions.hashes[name] for stamps in months.values())
    )
    stored = {name for stamps in months.values() for name in stamps}
    retired = tuple(sorted(stored - set(store.kept()) - set(definitions.features.names)))
    return changed, retired


def _inputs_of(versions: Derived) -> tuple[int, str, str]:
    return versions.input_version, _universe_of(versions), versions.splits


def _universe_of(versions: Derived) -> str:
    return versions.code_version.partition("-")[0]
