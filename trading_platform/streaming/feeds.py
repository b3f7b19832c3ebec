"""The feeds of a live process: the symbols of each source, and the basis of their bars.

The command opens the feeds (:mod:`trading_platform.cli.live.stream_feeds`);
:mod:`trading_platform.streaming.pipeline` processes their events.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.live.bar_series import Basis
from trading_platform.domain.texts import shown

if TYPE_CHECKING:
    from trading_platform.sources.live import LastEvent, LiveFeed, RejectMessage

MakeFeed = Callable[["LastEvent", "RejectMessage"], "LiveFeed"]
"""Opens a feed. Its arguments are the last stored events, and a callback for messages that are rejected."""


def never(_timestamp: datetime) -> bool:
    """Returns False: for a source that is always expected to be available."""
    return False


@dataclass(frozen=True)
class FeedPlan:
    """One feed: its symbols, and the bars that are built from its events.

    Attributes:
        source: name of the source.
        stream: name under which the position is stored: the source's name, followed by that of a shard
            (:class:`Shard`).
        basis: the symbols with bars, each with the price that its bars are built from.
        make: opens the feed.
        quoted: symbols with quotes alone, because the feed has no trades of them; they get no bars.
        fill_no_trade: whether a minute without trades gets a bar at the last price, as the source itself does.
        away: whether the source is expected to be unavailable at a timestamp; inactivity raises no alert then.
    """

    source: str
    stream: str
    basis: Mapping[str, Basis]
    make: MakeFeed
    quoted: frozenset[str] = field(default_factory=frozenset)
    fill_no_trade: bool = False
    away: Callable[[datetime], bool] = never

    @property
    def symbols(self) -> frozenset[str]:
        """All symbols of the feed."""
        return self.quoted | self.basis.keys()


@dataclass(frozen=True)
class Shard:
    """The part of the universe that one of several processes streams.

    Attributes:
        number: number of the shard, from 1.
        of: number of shards.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Parses a shard as written on the command line, ``2/4``.

        Raises:
            InvalidRequest: if the text is no shard.
        """
        number, _, of = text.partition("/")
        if number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of):
            return cls(int(number), int(of))
        raise InvalidRequest(
            "The shard is invalid.",
            expected="NUMBER/OF, such as 1/4 to 4/4 for four processes",
            received=shown(text),
            remedy="give each process a number of its own, from 1 to the number of processes",
        )

    def __contains__(self, symbol: object) -> bool:
        """Whether a symbol belongs to the shard; depends on the symbol alone, not on the rest of the universe."""
        return zlib.crc32(str(symbol).encode()) % self.of == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def stream_name(source: str, symbols: Iterable[str], everything: Iterable[str], shard: Shard | None) -> str:
    """The name under which a position is stored: the same at each start for the same symbols of a source.

    Args:
        source: name of the source.
        symbols: symbols that the feed follows.
        everything: all symbols of the source.
        shard: the shard of the symbols, if any.
    """
    followed = sorted(symbols)
    if shard is not None:
        return f"{source} {shard}"
    if followed == sorted(everything):
        return source
    return f"{source} {zlib.crc32(' '.join(followed).encode()):08x}"
