"""Versions of one execution: Interactive Brokers' numbering of corrections.

Interactive Brokers ends the id of an execution with a period and two digits. A correction is a further report of the
same execution, whose id differs only in these digits: ``0000e215.5f7e7752.01.02`` replaces ``0000e215.5f7e7752.01.01``.
It states the whole execution as it is right now, not the difference. Kraken's ids of trades have no versions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_NUMBERED = re.compile(r"(?P<execution>.+)\.(?P<version>[0-9]{2})")
_VERSIONS = 100


@dataclass(frozen=True)
class ExecutionId:
    """The id of a report of an execution, split.

    Attributes:
        execution: what all reports of the execution have in common.
        version: the last two digits; of two reports the one with the higher version counts.
    """

    execution: str
    version: int

    def versions(self) -> Iterator[tuple[str, int]]:
        """The ids of all possible reports of the execution, with their versions."""
        for version in range(_VERSIONS):
            yield f"{self.execution}.{version:02d}", version


def execution_id(broker_fill_id: str) -> ExecutionId | None:
    """Splits an execution id of Interactive Brokers; None if it does not end with a period and two digits."""
    found = _NUMBERED.fullmatch(broker_fill_id)
    return ExecutionId(found["execution"], int(found["version"])) if found else None
