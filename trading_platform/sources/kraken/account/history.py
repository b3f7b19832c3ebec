"""Reading TradesHistory whole: its pages are counted from the newest fill, and new ones come while they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from trading_platform.domain.errors import MalformedPayload, SourceUnavailable

PAGE = 50
"""Fills of a full answer."""
PASSES = 8
"""How often the pages are read from the newest on before it is given up that they agree with their count."""


@dataclass(frozen=True)
class HistoryPage:
    """One answer of TradesHistory.

    Attributes:
        fills: by Kraken's id, the newest first; at most fifty.
        count: how many there are in all, of the same times.
    """

    fills: Mapping[str, Mapping[str, Any]]
    count: int


def read_page(result: Mapping[str, Any]) -> HistoryPage:
    """A page in a result of TradesHistory.

    Raises:
        MalformedPayload: if it has not the agreed shape.
    """
    fills, count = result.get("trades"), result.get("count")
    if not isinstance(fills, Mapping) or not isinstance(count, int) or count < 0:
        raise MalformedPayload(
            "Kraken's answer to TradesHistory has not the agreed shape.",
            expected="trades (an object) and count (an integer)",
            received=repr(result)[:200],
            remedy="check that KRAKEN_API_URL is Kraken's; if it is, its interface has changed",
        )
    return HistoryPage(fills, count)


def collect_fills(ask: Callable[[int], HistoryPage]) -> dict[str, Mapping[str, Any]]:
    """Every fill of the times that are asked for, once, by Kraken's id.

    A fill that comes while pages are read moves all others one place on: the next page then repeats
    some, and the new one is on a page that was read already. So fills are told by their ids, and
    pages are read from the newest to the known ones again until there are as many as Kraken counts.

    Args:
        ask: gives the page that begins after so many fills.

    Raises:
        SourceUnavailable: if the pages do not come to what Kraken counts.
    """
    found: dict[str, Mapping[str, Any]] = {}
    count, whole = 0, True
    for reading in range(PASSES):
        offset, before = 0, len(found)
        while True:
            page = ask(offset)
            known = page.fills.keys() <= found.keys()
            found.update(page.fills)
            count = page.count
            offset += len(page.fills)
            if reading and len(found) >= count:
                return found  # the older ones were read before
            if not page.fills or (offset >= count and len(page.fills) < PAGE) or (known and not whole):
                break
        if len(found) >= count:
            return found
        whole = len(found) == before  # what is missing is not among the newest
    raise SourceUnavailable(
        "Kraken's pages of fills do not agree with its count of them.",
        expected=f"{count} fills",
        received=f"{len(found)}",
        remedy="ask again; if it stays, compare with the history that Kraken shows",
    )
