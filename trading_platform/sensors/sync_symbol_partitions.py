"""The sensor ``sync_symbol_partitions``: Dagster's partitions ``symbols`` follow the table ``config.instruments``.

An instrument that somebody adds can be materialized within half a minute, without a deployment.
It remembers nothing between ticks: it compares the two lists as they are (one short query each), so
that a partition deleted by hand or a restored database is mended like any other difference.
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
_FEW = 10  # symbols that a sentence can still name


@sensor(
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    description="Keeps the partitions `symbols` like the universe, `config.instruments`.",
)
def sync_symbol_partitions(context: SensorEvaluationContext, platform: ResourceParam[PlatformContext]) -> SensorResult:
    """Asks Dagster to add the symbols it lacks and to delete those that left the universe.

    What was materialized of a deleted symbol stays on record and shows again if it comes back.
    """
    wanted = list(platform.stores.instruments.all())
    present = context.instance.get_dynamic_partitions(str(symbols.name))
    added = sorted(set(wanted) - set(present))
    removed = sorted(set(present) - set(wanted))
    if not added and not removed:
        return SensorResult(skip_reason=f"The partitions are the universe's {len(wanted)} symbols.")
    requests: list[AddDynamicPartitionsRequest | DeleteDynamicPartitionsRequest] = []
    if added:
        requests.append(symbols.build_add_request(added))
    if removed:
        requests.append(symbols.build_delete_request(removed))
    # A tick that starts no run counts as skipped; the reason is what the UI shows of it.
    return SensorResult(
        dynamic_partitions_requests=requests,
        skip_reason=f"Symbols added: {_named(added)}; deleted: {_named(removed)}.",
    )


def _named(names: list[str]) -> str:
    more = len(names) - _FEW
    return (", ".join(names[:_FEW]) or "none") + (f" and {more} more" if more > 0 else "")
