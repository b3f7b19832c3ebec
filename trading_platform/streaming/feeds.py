"""What a live process follows: of each source which symbols, and which bars are made of what it tells.

Who opens the feeds is the command (:mod:`trading_platform.cli.live.stream_feeds`); what becomes of their events
is :mod:`trading_platform.streaming.pipeline`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.bar_series import Basis

if TYPE_CHECKING:
    from trading_platform.sources.live import LastEvent, LiveFeed, RejectMessage

MakeFeed = Callable[["LastEvent", "RejectMessage"], "LiveFeed"]
"""Opens a feed; is given what is stored of what it told before, and what to call with messages that cannot be used."""


def never(_timestamp: datetime) -> bool:
    """Of a source that is always expected to be there."""
    return False


@dataclass(frozen=True)
class FeedPlan:
    """One feed and what it is followed for.

    Attributes:
        source: whose feed it is.
        stream: under which name its position is kept: the source's, with a share's behind it (:class:`Share`).
        basis: the symbols of which bars are made, and of what.
        make: opens the feed.
        quoted: symbols of which only quotes are passed on: nothing that trades are to be seen in is told of them.
        fill_no_trade: give a minute without trades a bar at the last price, as the source itself does.
        away: whether the source is expected to be away at a moment; its silence is alerted only after that.
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
        """All that is followed."""
        return self.quoted | self.basis.keys()


@dataclass(frozen=True)
class Shard:
    """The part of the universe that one of several processes streams.

    Attributes:
        number: which, from 1.
        of: how many there are.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """A share as the command line has it, ``2/4``.

        Raises:
            InvalidRequest: if it is not one.
        """
        number, _, of = text.partition("/")
        if number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of):
            return cls(int(number), int(of))
        raise InvalidRequest(
            "There is no such share.",
            expected="NUMBER/OF, such as 1/4 to 4/4 for four processes",
            received=repr(text),
            remedy="give each process a number of its own, from 1 to how many there are",
        )

    def __contains__(self, symbol: object) -> bool:
        """Whether a symbol falls into it: the same everywhere, and whatever else is in the universe."""
        return zlib.crc32(str(symbol).encode()) % self.of == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def stream_name(source: str, symbols: Iterable[str], everything: Iterable[str], shard: Shard | None) -> str:
    """Under which name a position is kept, the same at each start for the same part of a source's symbols.

    Args:
        source: whose feed.
        symbols: what is followed of it.
        everything: what could be.
        shard: of which share it is.
    """
    followed = sorted(symbols)
    if shard is not None:
        return f"{source} {shard}"
    if followed == sorted(everything):
        return source
    return f"{source} {zlib.crc32(' '.join(followed).encode()):08x}"
