"""The sensor ``streamed_bars``: records in Dagster what the live path writes, without a run.

Once an hour it records a materialization of each partition of ``ohlcv_1m`` that streams have changed since the last
time. It records a new outage at once, as an observation. Recording each minute in Dagster would cost more than the
work of that minute; readers that need it earlier read the tables.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from dagster import (
    AssetMaterialization,
    AssetObservation,
    DefaultSensorStatus,
    MetadataValue,
    ResourceParam,
    SensorEvaluationContext,
    SensorResult,
    sensor,
)

from trading_platform.domain.time import INTRADAY_START, Timeframe, Window, month_window
from trading_platform.partitions import partition_key, symbols
from trading_platform.resources.platform import PlatformContext
from trading_platform.stores.market_data.completeness.outages import Outage
from trading_platform.stores.market_data.stream.store import Written

INTERVAL_SECONDS = 60
DAYS_A_TICK = 1_000
GAPS_A_TICK = 100
"""The next tick, a minute later, records the rest."""
ASSET = "ohlcv_1m"


@dataclass(frozen=True)
class _Cursor:
    """What was recorded: the last version of bars, the last outage, the hour of the last check for bars."""

    version: int = 0
    outage: int = 0
    hour: str = ""

    @classmethod
    def parse(cls, text: str | None) -> _Cursor:
        return cls(**json.loads(text)) if text else cls()

    def __str__(self) -> str:
        return json.dumps({"version": self.version, "outage": self.outage, "hour": self.hour})


@sensor(
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    description="Records every hour the partitions of `ohlcv_1m` that streams have written, and outages at once.",
)
def streamed_bars(context: SensorEvaluationContext, platform: ResourceParam[PlatformContext]) -> SensorResult:
    """Checks for outages in each tick, and for bars once an hour."""
    cursor = _Cursor.parse(context.cursor)
    present = set(context.instance.get_dynamic_partitions(str(symbols.name)))
    hour = f"{platform.clock():%Y-%m-%dT%H}"
    gaps = platform.stores.outages.since(cursor.outage, GAPS_A_TICK)
    written: list[Written] = []
    if hour != cursor.hour:
        written = platform.stores.stream.written_since(cursor.version, DAYS_A_TICK)
    left = len(written) == DAYS_A_TICK
    materialized = _materializations(written, present)
    observed = [_observation(gap) for gap in gaps if _has_partition(gap, present)]
    after = _Cursor(
        version=written[-1].version if written else cursor.version,
        outage=gaps[-1].id if gaps else cursor.outage,
        hour=cursor.hour if left else hour,
    )
    # A tick that starts no run counts as skipped; the UI shows this reason.
    reason = f"Partitions written by streams: {len(materialized)}; gaps: {len(observed)}."
    return SensorResult(asset_events=[*materialized, *observed], cursor=str(after), skip_reason=reason)


def _materializations(written: list[Written], present: set[str]) -> list[AssetMaterialization]:
    partitions: dict[tuple[str, Window], list[Written]] = {}
    for each in written:
        if each.symbol in present and each.window.start >= INTRADAY_START:
            partitions.setdefault((each.symbol, month_window(each.window.start)), []).append(each)
    return [
        AssetMaterialization(
            ASSET,
            partition=partition_key(symbol, Timeframe.M1, month),
            metadata={
                "written by": MetadataValue.text("a stream"),
                "days written": MetadataValue.int(len(days)),
                "last": MetadataValue.text(max(day.window.end for day in days).isoformat()),
            },
        )
        for (symbol, month), days in partitions.items()
    ]


def _has_partition(gap: Outage, present: set[str]) -> bool:
    return gap.symbol in present and gap.down_at >= INTRADAY_START


def _observation(gap: Outage) -> AssetObservation:
    until: datetime | None = gap.up_at
    return AssetObservation(
        ASSET,
        partition=partition_key(gap.symbol, Timeframe.M1, month_window(gap.down_at)),
        metadata={
            "gap": MetadataValue.text(f"{gap.down_at.isoformat()} to {until.isoformat() if until else 'now'}"),
            "reason": MetadataValue.text(gap.reason),
            "outage": MetadataValue.int(gap.id),
        },
    )
