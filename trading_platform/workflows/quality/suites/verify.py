"""Runs checks of stored data, for Dagster's asset checks and ``trading-platform verify``.

The rules are in :mod:`trading_platform.workflows.quality.verify_bars`, ``verify_indicators``, ``verify_actions`` and
``verify_features``; docs/checks.md explains each of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from trading_platform.domain.errors import ConfigurationError, StoreError
from trading_platform.domain.time import Clock, Timeframe
from trading_platform.sources.base import BarSource
from trading_platform.stores.market_data.checks import Scope
from trading_platform.stores.stores import Stores
from trading_platform.workflows.progress import Progress, silent
from trading_platform.workflows.quality.check_results import Check, CheckResult, Examination, Severity, judge
from trading_platform.workflows.quality.derived.verify_features import FEATURE_CHECKS
from trading_platform.workflows.quality.derived.verify_indicators import INDICATOR_CHECKS
from trading_platform.workflows.quality.derived.verify_inputs import (
    FEATURE_INPUT_CHECKS,
    HOURLY_FEATURE_INPUT_CHECKS,
    INDICATOR_INPUT_CHECKS,
    ROLL_UP_INPUT_CHECKS,
)
from trading_platform.workflows.quality.derived.verify_skew import SKEW_CHECKS
from trading_platform.workflows.quality.verify_actions import ACTION_CHECKS
from trading_platform.workflows.quality.verify_bars import BAR_CHECKS, RECONCILIATION_CHECKS
from trading_platform.workflows.quality.verify_own_rules import OWN_RULE_CHECKS, own_rules
from trading_platform.workflows.quality.verify_plausibility import PLAUSIBILITY_CHECKS

EVERYTHING = (Scope(),)
"""The scopes of an examination of all rows."""


@dataclass(frozen=True)
class CheckedAsset:
    """An asset and its rules.

    Attributes:
        asset: name of the asset.
        timeframe: of its rows.
        checks: the rules that run after each materialization.
        nightly: the rules that take longer; schedules leave them to the night.
        own: the check of a user's own rules, which runs where there are any.
    """

    asset: str
    timeframe: Timeframe
    checks: tuple[Check, ...]
    nightly: tuple[Check, ...] = ()
    own: tuple[Check, ...] = ()

    def checks_with(self, *, own_rules: bool) -> tuple[Check, ...]:
        """All checks, with the one of a user's own rules where there are any."""
        return self.checks + self.nightly + (self.own if own_rules else ())


def _bar_checks(timeframe: Timeframe) -> tuple[Check, ...]:
    reconciled = RECONCILIATION_CHECKS if timeframe in (Timeframe.M1, Timeframe.D1) else ()
    rolled_up = () if timeframe is Timeframe.M1 else ROLL_UP_INPUT_CHECKS
    return BAR_CHECKS + reconciled + rolled_up


def _nightly_bar_checks(timeframe: Timeframe) -> tuple[Check, ...]:
    return PLAUSIBILITY_CHECKS if timeframe in (Timeframe.M1, Timeframe.D1) else ()


CHECKED_ASSETS: Mapping[str, CheckedAsset] = {
    checked.asset: checked
    for checked in (
        *(
            CheckedAsset(
                f"ohlcv_{timeframe}", timeframe, _bar_checks(timeframe), _nightly_bar_checks(timeframe), OWN_RULE_CHECKS
            )
            for timeframe in Timeframe
        ),
        *(
            CheckedAsset(
                f"indicators_{timeframe}", timeframe, INDICATOR_CHECKS + INDICATOR_INPUT_CHECKS, own=OWN_RULE_CHECKS
            )
            for timeframe in Timeframe
        ),
        CheckedAsset("corporate_actions", Timeframe.D1, ACTION_CHECKS),
        CheckedAsset("features", Timeframe.D1, FEATURE_CHECKS + FEATURE_INPUT_CHECKS, SKEW_CHECKS, OWN_RULE_CHECKS),
        CheckedAsset(
            "features_1h",
            Timeframe.H1,
            FEATURE_CHECKS + HOURLY_FEATURE_INPUT_CHECKS,
            SKEW_CHECKS,
            OWN_RULE_CHECKS,
        ),
    )
}
"""All assets with checks, by name."""


def verify_asset(
    stores: Stores,
    sources: Mapping[str, BarSource],
    asset: str,
    scopes: Sequence[Scope] = EVERYTHING,
    *,
    clock: Clock,
    only: Collection[str] | None = None,
) -> list[CheckResult]:
    """Runs the checks of one asset.

    Args:
        stores: the stores to read; nothing is written.
        sources: the configured sources.
        asset: name of the asset.
        scopes: the rows to examine; disjoint.
        clock: determines which bars can exist.
        only: names of the checks to run; None means all.

    Returns:
        One result per check. A check that cannot be evaluated, as when a column is missing, has failed.

    Raises:
        StoreUnavailable: if a store is unavailable.
    """
    checked = CHECKED_ASSETS[asset]
    examination = Examination(asset, checked.timeframe, stores, sources, clock, tuple(scopes))
    checks = checked.checks_with(own_rules=stores.quality_rules is not None)
    return [_judge(check, examination) for check in checks if only is None or check.name in only]


def verify(
    stores: Stores,
    sources: Mapping[str, BarSource],
    scopes: Sequence[Scope] = EVERYTHING,
    *,
    timeframes: Collection[Timeframe] = tuple(Timeframe),
    clock: Clock,
    progress: Progress = silent,
) -> list[CheckResult]:
    """Runs the checks of every asset of some timeframes; corporate actions belong to the daily one.

    Raises:
        ConfigurationError: if a user's own rules cannot be read or evaluated.
        StoreUnavailable: if a store is unavailable.
    """
    ruled = {asset for rule in own_rules(stores) for asset in rule.assets}
    chosen = {
        checked: checked.checks_with(own_rules=checked.asset in ruled)
        for checked in CHECKED_ASSETS.values()
        if checked.timeframe in timeframes
    }
    total = sum(len(checks) for checks in chosen.values())
    results: list[CheckResult] = []
    for checked, checks in chosen.items():
        examination = Examination(checked.asset, checked.timeframe, stores, sources, clock, tuple(scopes))
        for check in checks:
            results.append(_judge(check, examination))
            progress("checks", len(results), total)
    return results


def _judge(check: Check, examination: Examination) -> CheckResult:
    try:
        return judge(check, examination)
    except (StoreError, ConfigurationError) as error:
        if error.retryable:
            raise
        return CheckResult(
            examination.asset,
            check.name,
            passed=False,
            severity=Severity.ERROR,
            description=f"The check could not be evaluated. {error}",
            rows_checked=0,
            failing_rows=0,
        )
