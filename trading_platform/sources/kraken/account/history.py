"""Reads TradesHistory completely: its pages count from the newest fill, and new fills arrive during reading."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from trading_platform.domain.errors import MalformedPayload, SourceUnavailable
from trading_platform.sources.strict_json import excerpt

PAGE = 50
"""Number of fills in a full page."""
_LARGEST_COUNT = 2**63

PASSES = 8
"""How often the pages are read from the newest on before their disagreement with the count is an error."""


@dataclass(frozen=True)
class HistoryPage:
    """One page of TradesHistory.

    Attributes:
        fills: by Kraken's id, the newest first; at most fifty.
        count: total number of fills of the requested times.
    """

    fills: Mapping[str, Mapping[str, Any]]
    count: int


def read_page(result: Mapping[str, Any]) -> HistoryPage:
    """The page in a result of TradesHistory.

    Raises:
        MalformedPayload: if it does not have the agreed shape.
    """
    fills, count = result.get("trades"), result.get("count")
    if not isinstance(fills, Mapping) or type(count) is not int or not 0 <= count < _LARGEST_COUNT:
        raise MalformedPayload(
            "Kraken's response to TradesHistory does not have the agreed shape.",
            expected="trades (an object) and count (an integer)",
            received=excerpt(result),
            remedy="check that KRAKEN_API_URL is Kraken's; if it is, its interface has changed",
        )
    return HistoryPage(fills, count)


def collect_fills(ask: Callable[[int], HistoryPage]) -> dict[str, Mapping[str, Any]]:
    """Every fill of the requested times, once, by Kraken's id.

    A fill that arrives while pages are read shifts all others by one place: the next page then repeats
    some, and the new one is on a page that was read already. So fills are identified by their ids, and
    pages are read again from the newest to the known ones until there are as many as Kraken counts.

    Args:
        ask: returns the page that begins after so many fills.

    Raises:
        SourceUnavailable: if the number of fills does not reach Kraken's count.
    """
    found: dict[str, Mapping[str, Any]] = {}
    count, whole = 0, True
    for reading in range(PASSES):
        offset, before = 0, len(found)
        while True:
            page = ask(offset)
            repeated = page.fills.keys() <= found.keys()
            found.update(page.fills)
            count = page.count
            offset += len(page.fills)
            if reading and len(found) >= count:
                return found  # the older ones were read already
            if not page.fills or (offset >= count and len(page.fills) < PAGE) or (repeated and not whole):
                break
        if len(found) >= count:
            return found
        whole = len(found) == before  # the missing fills are not among the newest
    raise SourceUnavailable(
        "Kraken's pages of fills do not agree with its count of them.",
        expected=f"{count} fills",
        received=f"{len(found)}",
        remedy="try again; if it persists, compare with the history in Kraken's user interface",
    )
