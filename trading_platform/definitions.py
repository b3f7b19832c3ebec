"""The only place that assembles the platform for Dagster.

``build_definitions`` takes replacements by keyword and returns a fresh object, so that a test or a
command hands in its own resources and gets the real graph.
"""

from __future__ import annotations

from collections.abc import Mapping

from dagster import Definitions, in_process_executor

from trading_platform import jobs
from trading_platform.assets.audit_archive import audit_archive
from trading_platform.assets.bars import bar_assets
from trading_platform.assets.corporate_actions import corporate_actions
from trading_platform.assets.coverage import coverage
from trading_platform.assets.features import features
from trading_platform.assets.indicators import indicator_assets
from trading_platform.assets.retention import retention
from trading_platform.checks.archive_checks import archive_checks
from trading_platform.checks.asset_checks import asset_checks
from trading_platform.checks.coverage_checks import no_gap_left
from trading_platform.checks.retention_checks import on_time
from trading_platform.resources.dagster_platform import platform_resource
from trading_platform.schedules.maintenance import maintenance_schedule
from trading_platform.schedules.refresh import refresh_schedules
from trading_platform.sensors.backfill_new_symbols import history
from trading_platform.sensors.recompute_after_split import restated
from trading_platform.sensors.repair_gaps import gaps
from trading_platform.sensors.repair_outages import outages
from trading_platform.sensors.streamed_bars import streamed_bars
from trading_platform.sensors.sync_symbol_partitions import universe


def build_definitions(*, resource_overrides: Mapping[str, object] | None = None) -> Definitions:
    """The platform's assets, checks, jobs, schedules and sensors.

    Args:
        resource_overrides: resources to use instead of those the environment configures; ``platform``
            may be an open :class:`~trading_platform.resources.platform.PlatformContext`.
    """
    return Definitions(
        assets=[*bar_assets, *indicator_assets, corporate_actions, features, audit_archive, retention, coverage],
        asset_checks=[*asset_checks, archive_checks, on_time, no_gap_left],
        jobs=[
            jobs.intraday,
            jobs.daily,
            jobs.actions,
            jobs.maintenance,
            jobs.repair_outage,
            jobs.repair_gaps_job,
            jobs.indicators_live,
        ],
        schedules=[*refresh_schedules, maintenance_schedule],
        sensors=[universe, streamed_bars, outages, restated, gaps, history],
        resources={"platform": platform_resource, **(resource_overrides or {})},
        executor=in_process_executor,
    )


defs = build_definitions()
