"""The check ``no_look_ahead`` of the asset ``features``: the point-in-time audit of a sample.

The audit is :mod:`trading_platform.workflows.features.audit`. The job ``features_audit`` runs it each night; the other
rules of the asset are in :mod:`trading_platform.checks.asset_checks`.
"""

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckKey,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetKey,
    MetadataValue,
    ResourceParam,
    TableRecord,
    asset_check,
)

from trading_platform.checks.asset_checks import scopes_of
from trading_platform.domain.features.audit.compare import AuditFinding
from trading_platform.domain.time import Timeframe, Window, partition_windows
from trading_platform.failures import STEP_RETRIES, dagster_failures
from trading_platform.resources.platform import PlatformContext
from trading_platform.workflows.features.audit import SAMPLES, AuditReport, audit_features

NO_LOOK_AHEAD = AssetCheckKey(AssetKey("features"), "no_look_ahead")

_OF_A_RUN = 10  # times as of which a run of partitions is audited, so that it does not take longer than the run
_SHOWN = 20


@asset_check(
    asset="features",
    description="A sample of the stored features is equal to what their definitions give from only the bars and splits "
    "that could be known at each time. The sample is another one each day.",
    retry_policy=STEP_RETRIES,
)
def no_look_ahead(context: AssetCheckExecutionContext, platform: ResourceParam[PlatformContext]) -> AssetCheckResult:
    """Audits a sample of everything, or of the partitions of the run."""
    universe = platform.stores.instruments.all()
    (scope, *others) = scopes_of(context, Timeframe.D1)
    symbols = {name for each in (scope, *others) for name in each.symbols or ()}
    windows = [each.window for each in (scope, *others) if each.window is not None]
    with dagster_failures():
        report = audit_features(
            platform.stores,
            universe,
            clock=platform.clock,
            seed=platform.clock().toordinal(),
            symbols=sorted(symbols) or None,
            partitions=[part for window in Window.merge(windows) for part in partition_windows(Timeframe.D1, window)]
            or None,
            samples=_OF_A_RUN if symbols else SAMPLES,
            progress=platform.progress,
        )
    return _result(report)


def _result(report: AuditReport) -> AssetCheckResult:
    found = report.findings
    return AssetCheckResult(
        passed=not found,
        severity=AssetCheckSeverity.ERROR,
        description=_description(report),
        metadata={
            "seed": MetadataValue.int(report.seed),
            "partitions": MetadataValue.int(report.partitions),
            "times": MetadataValue.int(report.times),
            "values compared": MetadataValue.int(report.values),
            "values that could not be known": MetadataValue.int(len(found)),
            **{f"not compared: {reason}": MetadataValue.int(count) for reason, count in report.not_audited.items()},
            **({"sample": MetadataValue.table([_record(each) for each in found[:_SHOWN]])} if found else {}),
        },
    )


def _description(report: AuditReport) -> str:
    if report.findings:
        first = report.findings[0]
        return (
            f"{len(report.findings):,} stored values are not what could be known, first {first.feature} of "
            f"{first.symbol} on {first.time:%Y-%m-%d}: {first.cause}. To do: trust no result that used these features, "
            f"run `trading-platform features audit --seed {report.seed}`, and correct the definition or compute them "
            "again with `trading-platform features backfill --force`."
        )
    if not report.partitions:
        return "No features are stored that could be compared, so nothing was checked."
    return f"All {report.values:,} compared values are what could be known."


def _record(each: AuditFinding) -> TableRecord:
    return TableRecord(
        {
            "feature": each.feature,
            "symbol": each.symbol,
            "time": each.time.isoformat(),
            "as of": each.as_of.isoformat(),
            "stored": str(each.stored),
            "recomputed": str(each.recomputed),
            "likely cause": f"{each.cause}: {each.detail}",
        }
    )
