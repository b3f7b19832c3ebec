"""Metadata of a partition's materialization: row count, time span, a small chart.

Also holds the column schemas that several assets and checks share.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import polars as pl
from dagster import (
    AssetExecutionContext,
    MetadataValue,
    MultiPartitionKey,
    TableColumn,
    TableColumnConstraints,
    TableSchema,
)
from dagster._core.execution.context.metadata_logging import AssetMetadataHandle, OutputMetadataAccumulator

from trading_platform.domain.charts import sparkline

OWNERS = ["team:data-platform"]

_TYPES: dict[type[pl.DataType] | pl.DataType, str] = {
    pl.String: "string",
    pl.Float64: "double",
    pl.Int64: "integer",
}


_SHARED = {
    "time": "open of the bar, UTC; midnight UTC of the session's date for daily bars",
    "symbol": "symbol in the platform's spelling",
    "timeframe": "1m, 5m, 1h or 1d",
}
"""Descriptions of the columns that every table has."""


def column_schema(schema: Mapping[str, pl.DataType], descriptions: Mapping[str, str], key: set[str]) -> TableSchema:
    """The column schema of a frame, for display in Dagster."""
    return TableSchema(
        columns=[
            TableColumn(
                name,
                type=_type_name(dtype),
                description=descriptions.get(name, _SHARED.get(name)),
                constraints=TableColumnConstraints(nullable=name not in key),
            )
            for name, dtype in schema.items()
        ]
    )


def partition_metadata(
    rows: int, first: datetime | None, last: datetime | None, values: list[float] | None = None
) -> dict[str, Any]:
    """Row count, time span and chart of one partition."""
    metadata: dict[str, Any] = {"dagster/partition_row_count": MetadataValue.int(rows)}
    if first is not None and last is not None:
        metadata["first"] = MetadataValue.text(first.isoformat())
        metadata["last"] = MetadataValue.text(last.isoformat())
    if values:
        metadata["chart"] = MetadataValue.md(sparkline(values, 240, 48))
    return metadata


def describe_partitions(
    context: AssetExecutionContext, described: Mapping[MultiPartitionKey, Mapping[str, Any]]
) -> None:
    """Adds metadata to many partitions of the run at once.

    ``context.add_asset_metadata`` does this for one partition, but lists all partitions of the run from Dagster's
    database on every call. At some hundreds of partitions this costs more than the work itself.

    Args:
        context: context of the asset.
        described: metadata by partition; only partitions of the run are allowed.
    """
    step = context.get_step_execution_context()
    metadata = dict(step._metadata_accumulator.per_output_metadata)  # noqa: SLF001 - Dagster has no public method that adds many at once
    for key, values in described.items():
        metadata[AssetMetadataHandle(asset_key=context.asset_key, partition_key=key)] = dict(values)
    step._metadata_accumulator = OutputMetadataAccumulator(per_output_metadata=metadata)  # noqa: SLF001


def log_up_to_date(context: AssetExecutionContext, up_to_date: int) -> None:
    """Logs how many partitions were up to date and not touched."""
    if up_to_date:
        context.log.info("%d partitions were up to date and were not touched", up_to_date)


def _type_name(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Datetime):
        return "timestamp with time zone"
    if isinstance(dtype, pl.Decimal):
        return f"decimal({dtype.precision},{dtype.scale})"
    return _TYPES.get(type(dtype), str(dtype).lower())
