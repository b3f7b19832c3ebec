"""Runs the platform's Dagster jobs in the process of the command, over ranges of partitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trading_platform.domain.time import Timeframe, Window
from trading_platform.resources.platform import PlatformContext

if TYPE_CHECKING:
    from dagster import DagsterInstance, ExecuteInProcessResult, JobDefinition, MultiPartitionKey


@dataclass(frozen=True)
class CheckOutcome:
    """The result of an asset check of a run."""

    asset: str
    check: str
    passed: bool
    severity: str
    description: str | None


@dataclass(frozen=True)
class RunOutcome:
    """The result of a run.

    Attributes:
        run_id: id of the run in the Dagster UI.
        symbols: symbols of its partitions.
        partitions: number of its partitions of each asset.
        error: the first failure, as text; None if the run succeeded.
        checks: the evaluated checks.
    """

    run_id: str
    symbols: tuple[str, ...]
    partitions: int
    error: str | None
    checks: tuple[CheckOutcome, ...]


def register_symbols(instance: DagsterInstance, symbols: Sequence[str]) -> list[str]:
    """Adds symbols to the partitions ``symbols``; returns all of these, in Dagster's order."""
    from trading_platform.partitions import symbols as definition

    name = definition.name
    if name is None:
        raise TypeError("the dynamic partitions have no name")
    present = set(instance.get_dynamic_partitions(name))
    missing = [symbol for symbol in symbols if symbol not in present]
    if missing:
        instance.add_dynamic_partitions(name, missing)
    return list(instance.get_dynamic_partitions(name))


def not_materialized(
    instance: DagsterInstance,
    assets: Sequence[str],
    wanted: Mapping[str, Sequence[Window]],
    timeframe: Timeframe,
) -> dict[str, list[Window]]:
    """The wanted partitions that lack a materialization of at least one asset in Dagster."""
    from dagster import AssetKey

    from trading_platform.partitions import partition_key

    missing: dict[str, set[Window]] = {}
    for asset in assets:
        materialized = instance.get_materialized_partitions(AssetKey(asset))
        for symbol, windows in wanted.items():
            absent = {window for window in windows if str(partition_key(symbol, timeframe, window)) not in materialized}
            missing.setdefault(symbol, set()).update(absent)
    return {symbol: sorted(windows) for symbol, windows in missing.items() if windows}


def run_job(
    instance: DagsterInstance,
    platform: PlatformContext,
    timeframe: Timeframe,
    wanted: Mapping[str, Sequence[Window]],
    assets: Sequence[str],
) -> list[RunOutcome]:
    """Materializes the wanted partitions of these assets, with their checks, in the fewest possible runs.

    Raises:
        KeyboardInterrupt: if a run was interrupted; the remaining runs are not started.
    """
    from dagster._core.errors import DagsterExecutionInterruptedError

    from trading_platform.cli.signals import raise_if_interrupted
    from trading_platform.definitions import build_definitions
    from trading_platform.jobs import job_for
    from trading_platform.partitions import ranges_of

    definitions = build_definitions(resource_overrides={"platform": platform}, features=platform.stores.definitions)
    job = definitions.resolve_job_def(job_for(timeframe))
    registered = register_symbols(instance, list(wanted))
    outcomes = []
    for first, last in ranges_of(registered, wanted, timeframe):
        start = registered.index(first.keys_by_dimension["symbol"])
        names = registered[start : registered.index(last.keys_by_dimension["symbol"]) + 1]
        try:
            result = execute_range(instance, job, first, last, assets)
        except DagsterExecutionInterruptedError:
            raise KeyboardInterrupt from None
        times = len(_times_between(timeframe, first, last))
        outcome = _outcome(result, tuple(names), len(names) * times)
        if outcome.error is not None and _was_interrupted(result):
            raise KeyboardInterrupt
        raise_if_interrupted()
        outcomes.append(outcome)
    return outcomes


def blocked_symbols(outcomes: Sequence[RunOutcome]) -> set[str]:
    """The symbols of failed runs in which a check failed that blocks what is computed from its asset."""
    from trading_platform.workflows.quality.suites.verify import CHECKED_ASSETS

    blocking = {
        (checked.asset, check.name) for checked in CHECKED_ASSETS.values() for check in checked.checks if check.blocking
    }
    return {
        symbol
        for outcome in outcomes
        if outcome.error is not None
        and any(not check.passed and (check.asset, check.check) in blocking for check in outcome.checks)
        for symbol in outcome.symbols
    }


def execute_range(
    instance: DagsterInstance,
    job: JobDefinition,
    first: MultiPartitionKey,
    last: MultiPartitionKey,
    assets: Sequence[str],
) -> ExecuteInProcessResult:
    """Runs a job over the partitions between two corners, in this process and without console output.

    The run appears in the UI's Timeline and Jobs like one that the UI started.
    """
    from dagster import AssetKey
    from dagster._core.storage.tags import MAX_RETRIES_TAG
    from dagster._core.utils import make_new_run_id

    from trading_platform.embedded.run_leases import RunLeases
    from trading_platform.jobs import AUDITS, NIGHTLY_CHECKS
    from trading_platform.resources.dagster_instance import runs_of_code_location
    from trading_platform.settings import load_settings

    keys = {AssetKey(name) for name in assets}
    known = job.asset_layer.asset_graph.asset_check_keys | NIGHTLY_CHECKS
    checks = {key for key in known if key.asset_key in keys} - AUDITS
    chosen = job.get_subset(asset_selection=keys, asset_check_selection=checks)
    run_id = make_new_run_id()
    with RunLeases(load_settings().root).held(run_id), runs_of_code_location(instance, job.name):
        return chosen.execute_in_process(
            instance=instance,
            run_id=run_id,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            tags={
                "dagster/asset_partition_range_start": str(first),
                "dagster/asset_partition_range_end": str(last),
                MAX_RETRIES_TAG: "0",  # whoever killed the command did not ask for its run to be started again
            },
        )


def _times_between(timeframe: Timeframe, first: MultiPartitionKey, last: MultiPartitionKey) -> list[Window]:
    from trading_platform.domain.time import partition_windows
    from trading_platform.partitions import window_of

    start = window_of(timeframe, first.keys_by_dimension["time"]).start
    end = window_of(timeframe, last.keys_by_dimension["time"]).end
    return partition_windows(timeframe, Window(start, end))


def _outcome(result: ExecuteInProcessResult, symbols: tuple[str, ...], partitions: int) -> RunOutcome:
    checks = tuple(
        CheckOutcome(
            evaluation.asset_key.to_user_string(),
            evaluation.check_name,
            evaluation.passed,
            evaluation.severity.value,
            evaluation.description,
        )
        for evaluation in result.get_asset_check_evaluations()
    )
    return RunOutcome(result.run_id, symbols, partitions, None if result.success else _first_error(result), checks)


def _was_interrupted(result: ExecuteInProcessResult) -> bool:
    """Whether the run was interrupted: in an asset, in a check or between steps."""
    from trading_platform.failures import INTERRUPTED

    signs = (INTERRUPTED, "DagsterExecutionInterruptedError", "KeyboardInterrupt")
    return any(
        event.event_type_value == "PIPELINE_CANCELED" or any(sign in str(event.event_specific_data) for sign in signs)
        for event in result.all_events
        if event.is_failure or event.event_type_value == "PIPELINE_CANCELED"
    )


def _first_error(result: ExecuteInProcessResult) -> str:
    for event in result.all_events:
        if event.is_step_failure:
            with suppress(AttributeError):
                failure = event.step_failure_data
                if failure.user_failure_data and failure.user_failure_data.description:
                    return failure.user_failure_data.description
                cause = failure.error
                while cause and cause.cause:
                    cause = cause.cause
                return cause.message.strip() if cause else "a step failed"
    return "the run did not succeed; see it in the Dagster UI"
