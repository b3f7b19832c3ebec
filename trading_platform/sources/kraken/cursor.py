"""Follows Kraken's cursor through its trades without losing or doubling one.

Kraken pages by time, and several trades can have the same. So every page is asked for with an
overlap of one nanosecond, trades already seen are told by their id, and ids must follow each other
without a hole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from trading_platform.domain.errors import MalformedPayload, SourceUnavailable
from trading_platform.sources.kraken.parse import TradesResponse

PAGE = 1000
"""The most trades Kraken puts into an answer."""

Read = Callable[[TradesResponse], "FreshTrades"]


@dataclass(frozen=True)
class FreshTrades:
    """What of a page had not been seen before.

    Attributes:
        rows: frame of ``KRAKEN_TRADE_SCHEMA``, by trade id.
        is_full: whether the page held as many trades as a page can.
        last: the cursor to go on with.
    """

    rows: pl.DataFrame
    is_full: bool
    last: int


@dataclass(frozen=True)
class TradesPage:
    """The next trades, none of which was told before.

    Attributes:
        rows: frame of ``KRAKEN_TRADE_SCHEMA``, by trade id without a hole; empty on the last page only.
        since: the cursor to go on with, nanoseconds since 1970.
        seen: the id of the last trade so far; None where there was none.
        is_last: there are no more trades until now.
    """

    rows: pl.DataFrame
    since: int
    seen: int | None
    is_last: bool


class Ask(Protocol):
    """Asks for a page and reads it; on an error that trying again can help, does both again."""

    def __call__(self, since: int, read: Read) -> FreshTrades:
        """The page of trades later than ``since`` (or from it; both are right), as ``read`` takes it."""


def follow_trades(ask: Ask, since: int, seen: int | None = None, *, page_size: int = PAGE) -> Iterator[TradesPage]:
    """Page after page of trades until there are no more; each is asked for when it is wanted.

    Args:
        ask: gives a page.
        since: nanoseconds since 1970; trades later than it, or from it.
        seen: the id of the last trade had before, where one goes on; the next must follow it.
        page_size: how many trades make a page full, so that there may be more.

    Raises:
        SourceUnavailable: if ids stay with a hole although asked again.
        MalformedPayload: if the cursor cannot get on.
    """
    while True:
        page = ask(since, _reader(seen, page_size))
        if not page.rows.is_empty():
            seen = int(page.rows["trade_id"][-1])
            since = max(since, page.last - 1)
        elif not page.is_full:
            yield TradesPage(page.rows, since, seen, is_last=True)
            return
        elif page.last <= since:
            raise _stuck(since, page_size)
        else:
            since = page.last  # the overlap alone fills a page; without it, ids still tell a loss
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
        "Trades are missing from Kraken's answer: their ids have a hole.",
        expected="each trade id one above the one before" + ("" if seen is None else f", from {seen + 1}"),
        received=f"{fresh.height} trades with ids from {fresh['trade_id'][0]} to {fresh['trade_id'][-1]}",
        remedy="ask again later; the window stays unanswered until then",
    )


def _stuck(since: int, page_size: int) -> MalformedPayload:
    return MalformedPayload(
        "Kraken's cursor does not get on.",
        expected=f"fewer than {page_size} trades at one nanosecond",
        received=f"a full page without a new trade after {since}",
        remedy="take this window from Kraken's bulk files of trades",
    )
