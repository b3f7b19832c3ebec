"""Assembles the platform for Dagster; no other module does.

``build_definitions`` takes replacements by keyword and returns a new object, so that a test or a command can run
the real graph with its own resources.
"""

from __future__ import annotations

from collections.abc import Mapping

from dagster import Definitions, in_process_executor

from trading_platform import jobs
from trading_platform.assets.audit_archive import audit_archive
from trading_platform.assets.bars import bar_assets
from trading_platform.assets.corporate_actions import corporate_actions
from trading_platform.assets.coverage import coverage
from trading_platform.assets.features import feature_assets
from trading_platform.assets.indicators import indicator_assets
from trading_platform.assets.news import news_sentiment, raw_news
from trading_platform.assets.reconciliation import reconciliation
from trading_platform.assets.retention import retention
from trading_platform.assets.source_health import source_health
from trading_platform.checks.archive_checks import archive_checks
from trading_platform.checks.asset_checks import asset_checks
from trading_platform.checks.coverage_checks import no_gap_left
from trading_platform.checks.expectations_checks import expectations_checks
from trading_platform.checks.feature_audit_check import no_look_ahead
from trading_platform.checks.feature_drift_check import drift
from trading_platform.checks.news_checks import news_checks
from trading_platform.checks.retention_checks import retention_on_time
from trading_platform.resources.dagster_platform import configured_features, platform_resource
from trading_platform.schedules.maintenance import features_audit_schedule, maintenance_schedule
from trading_platform.schedules.refresh import refresh_schedules
from trading_platform.sensors.backfill_new_symbols import backfill_new_symbols
from trading_platform.sensors.recompute_stale import recompute_stale
from trading_platform.sensors.repair_gaps import repair_gaps
from trading_platform.sensors.repair_outages import repair_outages
from trading_platform.sensors.report_problems import report_problems
from trading_platform.sensors.streamed_bars import streamed_bars
from trading_platform.sensors.sync_symbol_partitions import sync_symbol_partitions
from trading_platform.stores.features.definitions import Definitions as FeatureDefinitions


def build_definitions(
    *, resource_overrides: Mapping[str, object] | None = None, features: FeatureDefinitions | None = None
) -> Definitions:
    """The platform's assets, checks, jobs, schedules and sensors.

    Args:
        resource_overrides: resources to use instead of those that the environment configures; ``platform``
            may be an open :class:`~trading_platform.resources.platform.PlatformContext`.
        features: the features of the assets of features; None means those that the environment configures.
    """
    of_features = feature_assets(configured_features() if features is None else features)
    return Definitions(
        assets=[
            *bar_assets,
            *indicator_assets,
            corporate_actions,
            *of_features,
            raw_news,
            news_sentiment,
            audit_archive,
            reconciliation,
            retention,
            coverage,
            source_health,
        ],
        asset_checks=[
            *asset_checks,
            archive_checks,
            *news_checks,
            retention_on_time,
            no_gap_left,
            no_look_ahead,
            drift,
            *expectations_checks,
        ],
        jobs=[
            jobs.intraday,
            jobs.daily,
            jobs.corporate_actions,
            jobs.maintenance,
            jobs.features_audit,
            jobs.repair_outages_job,
            jobs.repair_gaps_job,
            jobs.indicators_live,
            jobs.news,
            jobs.reconcile,
        ],
        schedules=[*refresh_schedules, maintenance_schedule, features_audit_schedule],
        sensors=[
            sync_symbol_partitions,
            streamed_bars,
            repair_outages,
            recompute_stale,
            repair_gaps,
            backfill_new_symbols,
            report_problems,
        ],
        resources={"platform": platform_resource, **(resource_overrides or {})},
        executor=in_process_executor,
    )


defs = build_definitions()
