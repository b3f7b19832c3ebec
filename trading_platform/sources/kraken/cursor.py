"""Follows Kraken's cursor through its trades without losing or repeating one.

Kraken pages by time, and several trades can have the same time. So every page is requested with an
overlap of one nanosecond, repeated trades are recognised by their id, and ids must be consecutive
without a gap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from trading_platform.domain.errors import MalformedPayload, SourceUnavailable
from trading_platform.sources.kraken.parse import TradesResponse

PAGE = 1000
"""Maximum number of trades in a response of Kraken."""

Read = Callable[[TradesResponse], "FreshTrades"]


@dataclass(frozen=True)
class FreshTrades:
    """The new trades of a page.

    Attributes:
        rows: frame of ``KRAKEN_TRADE_SCHEMA``, by trade id.
        is_full: whether the page held the maximum number of trades.
        last: the cursor of the next page.
    """

    rows: pl.DataFrame
    is_full: bool
    last: int


@dataclass(frozen=True)
class TradesPage:
    """The next trades, each returned for the first time.

    Attributes:
        rows: frame of ``KRAKEN_TRADE_SCHEMA``, by trade id without a gap; empty on the last page only.
        since: the cursor of the next page, nanoseconds since 1970.
        seen: the id of the last trade so far; None if there was none.
        is_last: there are no more trades until now.
    """

    rows: pl.DataFrame
    since: int
    seen: int | None
    is_last: bool


class Ask(Protocol):
    """Requests a page and reads it; repeats both after a retryable error."""

    def __call__(self, since: int, read: Read) -> FreshTrades:
        """The page of trades later than ``since`` (or from it; both are valid), as parsed by ``read``."""


def follow_trades(ask: Ask, since: int, seen: int | None = None, *, page_size: int = PAGE) -> Iterator[TradesPage]:
    """Page after page of trades until there are no more; each is requested when the iterator reaches it.

    Args:
        ask: requests a page.
        since: nanoseconds since 1970; trades later than it, or from it.
        seen: the id of the last trade received before, to continue from it; the next must follow it.
        page_size: number of trades of a full page, after which there may be more.

    Raises:
        SourceUnavailable: if ids have a gap even after retries.
        MalformedPayload: if the cursor does not advance.
    """
    is_repeated = False
    while True:
        page = ask(since, _reader(seen, page_size))
        if not page.rows.is_empty():
            seen = int(page.rows["trade_id"][-1])
            since, is_repeated = max(since, page.last - 1), False
        elif not page.is_full:
            yield TradesPage(page.rows, since, seen, is_last=True)
            return
        elif page.last <= since or is_repeated:
            raise _stuck(since, page_size)
        else:
            since = page.last  # the overlap alone fills a page; without it, ids still reveal a loss
            is_repeated = True
            continue
        yield TradesPage(page.rows, since, seen, is_last=False)


def _reader(seen: int | None, page_size: int) -> Read:
    def read(response: TradesResponse) -> FreshTrades:
        rows = response.rows.unique("trade_id", keep="first").sort("trade_id")
        fresh = rows if seen is None else rows.filter(pl.col("trade_id") > seen)
        expected = fresh.height and int(fresh["trade_id"][0]) + fresh.height - 1
        follows = seen is None or fresh.is_empty() or fresh["trade_id"][0] == seen + 1
        if not follows or (fresh.height and fresh["trade_id"][-1] != expected):
            raise _gap(seen, fresh)
        return FreshTrades(fresh, response.rows.height >= page_size, response.last)

    return read


def _gap(seen: int | None, fresh: pl.DataFrame) -> SourceUnavailable:
    return SourceUnavailable(
        "Trades are missing in Kraken's response: their ids have a gap.",
        expected="each trade id one above the one before" + ("" if seen is None else f", from {seen + 1}"),
        received=f"{fresh.height} trades with ids from {fresh['trade_id'][0]} to {fresh['trade_id'][-1]}",
        remedy="try again later; the window stays uncovered until then",
    )


def _stuck(since: int, page_size: int) -> MalformedPayload:
    return MalformedPayload(
        "Kraken's cursor does not advance.",
        expected=f"fewer than {page_size} trades at one nanosecond",
        received=f"a full page without a new trade after {since}",
        remedy="import this window from Kraken's bulk files of trades",
    )
