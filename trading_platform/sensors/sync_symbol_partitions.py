"""The sensor ``sync_symbol_partitions``: syncs Dagster's partitions ``symbols`` with the table ``config.instruments``.

A new instrument can be materialized within half a minute, without a deployment. The sensor keeps no state between
ticks: it compares the two lists (one short query each), so that it also corrects a partition that was deleted by hand
or a restored database.
"""

from __future__ import annotations

from dagster import (
    AddDynamicPartitionsRequest,
    DefaultSensorStatus,
    DeleteDynamicPartitionsRequest,
    ResourceParam,
    SensorEvaluationContext,
    SensorResult,
    sensor,
)

from trading_platform.partitions import symbols
from trading_platform.resources.platform import PlatformContext

INTERVAL_SECONDS = 30
_FEW = 10  # symbols that a message names


@sensor(
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    description="Syncs the partitions `symbols` with the universe, `config.instruments`.",
)
def sync_symbol_partitions(context: SensorEvaluationContext, platform: ResourceParam[PlatformContext]) -> SensorResult:
    """Requests to add the symbols that Dagster lacks and to delete those that left the universe.

    The materializations of a deleted symbol stay in Dagster and show again if the symbol returns.
    """
    wanted = list(platform.stores.instruments.all())
    present = context.instance.get_dynamic_partitions(str(symbols.name))
    added = sorted(set(wanted) - set(present))
    removed = sorted(set(present) - set(wanted))
    if not added and not removed:
        return SensorResult(skip_reason=f"The partitions match the {len(wanted)} symbols of the universe.")
    requests: list[AddDynamicPartitionsRequest | DeleteDynamicPartitionsRequest] = []
    if added:
        requests.append(symbols.build_add_request(added))
    if removed:
        requests.append(symbols.build_delete_request(removed))
    # A tick that starts no run counts as skipped; the UI shows this reason.
    return SensorResult(
        dynamic_partitions_requests=requests,
        skip_reason=f"Symbols added: {_named(added)}; deleted: {_named(removed)}.",
    )


def _named(names: list[str]) -> str:
    more = len(names) - _FEW
    return (", ".join(names[:_FEW]) or "none") + (f" and {more} more" if more > 0 else "")
