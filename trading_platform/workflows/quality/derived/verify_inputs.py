"""Checks that derived data was computed from the bars, splits and definitions that are stored now.

The input versions of each computed partition are in ``market_data.input_versions``. The rule is the same for rolled-up
bars, indicators and features; ``verify_bars``, ``verify_indicators`` and ``verify_features`` have their other rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from trading_platform.domain.errors import ConfigurationError
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Timeframe, Window, partition_windows
from trading_platform.stores.market_data.checks import SAMPLE_ROWS, Scope
from trading_platform.stores.market_data.input_versions import Derived
from trading_platform.workflows.bars.bar_sources import is_rolled_up
from trading_platform.workflows.bars.roll_up_bars import stale_roll_ups
from trading_platform.workflows.derived.build_features import DATASET as FEATURES
from trading_platform.workflows.derived.build_features import inputs_of, stale_features
from trading_platform.workflows.derived.build_hourly_features import DATASET as HOURLY_FEATURES
from trading_platform.workflows.derived.build_hourly_features import HourlyInputVersions, stale_hourly_features
from trading_platform.workflows.derived.compute_indicators import stale_indicators
from trading_platform.workflows.derived.stale_definitions import stale_names
from trading_platform.workflows.quality.check_results import Check, CheckResult, Examination, Row, Severity, finding

Stale = Mapping[str, Mapping[Window, Derived]]
"""For each symbol, the stale partitions and what they would be computed from now."""

_OF_FEATURES = (FEATURES, HOURLY_FEATURES)

_StaleOf = Callable[[Examination, Mapping[str, Instrument], Sequence[str], Sequence[Window]], Stale]


def _roll_ups(
    examination: Examination, universe: Mapping[str, Instrument], symbols: Sequence[str], partitions: Sequence[Window]
) -> Stale:
    return {
        symbol: stale_roll_ups(examination.stores, symbol, examination.timeframe, partitions)
        for symbol in symbols
        if _is_rolled_up(examination, universe[symbol])
    }


def _is_rolled_up(examination: Examination, instrument: Instrument) -> bool:
    try:
        return is_rolled_up(examination.sources, instrument, examination.timeframe)
    except ConfigurationError:  # its source is not configured here: nothing can be said about its bars
        return False


def _indicators(
    examination: Examination, _universe: Mapping[str, Instrument], symbols: Sequence[str], partitions: Sequence[Window]
) -> Stale:
    return stale_indicators(examination.stores, symbols, examination.timeframe, partitions)


def _features(
    examination: Examination, universe: Mapping[str, Instrument], symbols: Sequence[str], partitions: Sequence[Window]
) -> Stale:
    return stale_features(examination.stores, universe, symbols, partitions)


def _hourly_features(
    examination: Examination, universe: Mapping[str, Instrument], symbols: Sequence[str], partitions: Sequence[Window]
) -> Stale:
    return stale_hourly_features(examination.stores, universe, symbols, partitions, examination.clock())


def _inputs_unchanged(examination: Examination, stale_of: _StaleOf) -> CheckResult:
    """The check: an error where inputs changed, a warning where a partition may only lack the newest bars."""
    universe = examination.stores.instruments.all()
    checked = changed = behind = 0
    sample: list[Row] = []
    for scope in examination.scopes:
        computed = _computed(examination, universe, scope)
        symbols = list(computed)
        partitions = sorted({window for windows in computed.values() for window in windows})
        checked += sum(map(len, computed.values()))
        stale = stale_of(examination, universe, symbols, partitions) if symbols else {}
        outdated = {
            symbol: [window for window in windows if window in computed[symbol]] for symbol, windows in stale.items()
        }
        certain = _certainly_changed(examination, universe, outdated, stale)
        changed += len(certain)
        uncertain = [(symbol, window) for symbol, windows in outdated.items() for window in windows]
        uncertain = [each for each in uncertain if each not in certain] if examination.asset in _OF_FEATURES else []
        behind += len(uncertain)
        listed = [*sorted(certain), *uncertain][:SAMPLE_ROWS]
        features = _changed_definitions(examination, {part: stale[part[0]][part[1]] for part in listed})
        sample += [
            {
                "symbol": symbol,
                "partition": str(window),
                "inputs": "changed" if (symbol, window) in certain else "newer",
                **features.get((symbol, window), {}),
            }
            for symbol, window in listed
        ]
    left_out = examination.stores.definitions.errors if examination.asset == FEATURES else ()
    sample = [{"file": error.file, "definition": error.name or "", "error": str(error)} for error in left_out] + sample
    if left_out and not changed + behind:
        return finding(
            rows_checked=len(examination.stores.definitions.files) + len(left_out),
            failing_rows=len(left_out),
            what="definitions and files of them",
            wrong="are left out because of an error; their values stay as they were",
            remedy="correct the files; `trading-platform features list` shows each error",
            severity=Severity.WARN,
            sample=sample[:SAMPLE_ROWS],
        )
    return finding(
        rows_checked=checked,
        failing_rows=changed + behind,
        what="partitions",
        wrong="were computed before bars, splits, news or definitions changed that they are computed from",
        remedy="`trading-platform backfill` computes them again",
        severity=Severity.ERROR if changed else Severity.WARN,
        sample=sample[:SAMPLE_ROWS],
        counts={"inputs changed": changed, "newer bars only": behind},
    )


def _changed_definitions(
    examination: Examination, listed: Mapping[tuple[str, Window], Derived]
) -> dict[tuple[str, Window], Row]:
    """Of partitions of features in which only definitions have changed, the names of those features."""
    if examination.asset not in _OF_FEATURES:
        return {}
    stale: dict[str, dict[Window, Derived]] = {}
    for (symbol, window), present in listed.items():
        stale.setdefault(symbol, {})[window] = present
    found = stale_names(
        examination.stores, examination.stores.features_of(examination.timeframe), examination.asset, stale
    )
    return {
        part: {"inputs": "definition changed", "features": ", ".join(names) or "columns without a definition"}
        for part, names in found.items()
        if names is not None
    }


def _certainly_changed(
    examination: Examination,
    universe: Mapping[str, Instrument],
    outdated: Mapping[str, Sequence[Window]],
    stale: Stale,
) -> set[tuple[str, Window]]:
    """The stale partitions with a change of bars that had ended when they were computed, or of splits or code.

    Bars that ended later are new: rows for them are missing, but no computed value is wrong.
    """
    names = [symbol for symbol, windows in outdated.items() if windows]
    if not names:
        return set()
    store, dataset, length = examination.stores.input_versions, examination.asset, examination.timeframe
    source = Timeframe.M1 if dataset.startswith("ohlcv_") else length
    inputs = {name: inputs_of(name, universe) if dataset in _OF_FEATURES else [name] for name in names}
    needed = sorted({each for found in inputs.values() for each in found})
    versions = (
        HourlyInputVersions(examination.stores, universe, needed)
        if dataset == HOURLY_FEATURES
        else store.bar_versions(needed, source)
    )
    recorded, computed_at = store.read(dataset, names), store.computed_at(dataset, names)
    found = set()
    for symbol in names:
        for window in outdated[symbol]:
            before, now = recorded[symbol, window.start], stale[symbol][window]
            ended = min(window.end, computed_at[symbol, window.start] - length.duration)
            if (before.code_version, before.splits) != (now.code_version, now.splits) or versions.before(
                inputs[symbol], ended, streamed=False
            ) > before.input_version:
                found.add((symbol, window))
    return found


def _computed(examination: Examination, universe: Mapping[str, Instrument], scope: Scope) -> dict[str, set[Window]]:
    """For each symbol, the partitions in scope that were computed."""
    symbols = [name for name in (scope.symbols or universe) if name in universe]
    length = examination.timeframe
    found: dict[str, set[Window]] = {}
    for symbol, start in examination.stores.input_versions.read(examination.asset, symbols):
        for window in partition_windows(length, Window(start, start + length.duration)):
            if scope.window is None or scope.window.intersect(window):
                found.setdefault(symbol, set()).add(window)
    return found


def _check(stale_of: _StaleOf) -> Check:
    return Check(
        "inputs_unchanged",
        "Every partition was computed from the bars, splits and definitions that are stored now.",
        partial(_inputs_unchanged, stale_of=stale_of),
        blocking=False,
    )


ROLL_UP_INPUT_CHECKS = (_check(_roll_ups),)
"""The rule for an asset ``ohlcv_*`` with bars that may be rolled up from minutes."""

INDICATOR_INPUT_CHECKS = (_check(_indicators),)
"""The rule for an asset ``indicators_*``."""

FEATURE_INPUT_CHECKS = (_check(_features),)
"""The rule for the asset ``features``."""

HOURLY_FEATURE_INPUT_CHECKS = (_check(_hourly_features),)
"""The rule for the asset ``features_1h``."""
