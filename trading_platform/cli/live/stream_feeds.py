"""The feeds that ``stream`` opens: one for each source with a live feed, with the requested symbols.

A :class:`~trading_platform.streaming.feeds.FeedPlan` describes a feed. :data:`PLANNERS` lists the sources with a live
feed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.market.live.bar_series import Basis
from trading_platform.streaming.feeds import FeedPlan, Shard, stream_name

if TYPE_CHECKING:
    from trading_platform.resources.platform import PlatformContext
    from trading_platform.settings import Settings
    from trading_platform.sources.live import LastEvent, LiveFeed, RejectMessage

log = logging.getLogger(__name__)

_POLLING_ATTEMPTS = 1  # the next poll is the retry


@dataclass(frozen=True)
class Wanted:
    """The request of ``stream``.

    Attributes:
        symbols: symbols to stream; empty means all with a live feed.
        shard: this process's part of the universe.
        basis: side of the quotes to build bars from; None means trades, or mid quotes where a feed has no trades.
    """

    symbols: Sequence[str] = ()
    shard: Shard | None = None
    basis: Basis | None = None


def plan_feeds(settings: Settings, platform: PlatformContext, wanted: Wanted) -> tuple[list[FeedPlan], str]:
    """The feeds to open, and the name of the part of the universe they cover; empty for the whole of it.

    A shard may have no symbol; then there are no feeds.

    Raises:
        InvalidRequest: unknown symbols, or no symbol with a live feed.
    """
    everything = platform.stores.instruments.all()
    requested = platform.stores.instruments.require(wanted.symbols) if wanted.symbols else everything
    live = {symbol: instrument for symbol, instrument in requested.items() if instrument.source in PLANNERS}
    without_feed = [symbol for symbol in wanted.symbols if symbol not in live]
    if without_feed or not live:
        sources = ", ".join(f"{symbol} from {requested[symbol].source}" for symbol in without_feed)
        raise InvalidRequest(
            f"{', '.join(without_feed)} cannot be streamed." if without_feed else "There is nothing to stream.",
            expected=f"instruments with the source {' or '.join(PLANNERS)}",
            received=sources or "none in the universe",
            remedy="`trading-platform instruments add BTCUSD` adds one",
        )
    chosen = [live[symbol] for symbol in sorted(live) if wanted.shard is None or symbol in wanted.shard]
    if not chosen:  # only a shard may be without a symbol: symbols keep their shard when others come and go
        log.warning(
            "the shard %s has none of the %d symbols now; start it again when there are others", wanted.shard, len(live)
        )
        return [], str(wanted.shard)
    plans = []
    for source, planner in PLANNERS.items():
        own = [instrument for instrument in chosen if instrument.source == source]
        if own:
            all_of_it = [symbol for symbol, instrument in everything.items() if instrument.source == source]
            name = stream_name(source, (instrument.symbol for instrument in own), all_of_it, wanted.shard)
            plans.append(planner(settings, own, name, wanted.basis, platform))
    parts = {plan.stream.removeprefix(plan.source).strip() for plan in plans} - {""}
    return plans, " ".join(sorted(parts))


def _plan_kraken(
    settings: Settings,
    instruments: Sequence[Instrument],
    stream: str,
    basis: Basis | None,
    platform: PlatformContext,
) -> FeedPlan:
    """Trades and quotes by WebSocket, or quotes alone by polling, with bars only if their basis is a quote."""
    from trading_platform.resources.demonstration import check_not_refused
    from trading_platform.sources.kraken.client import connect
    from trading_platform.sources.kraken.http import Retries
    from trading_platform.sources.kraken.live.feed import KrakenFeed
    from trading_platform.sources.kraken.live.quotes import KrakenQuotes
    from trading_platform.sources.polling import PollingFeed

    for url in (settings.kraken_api_url, settings.kraken_ws_url):
        check_not_refused(settings, "kraken", url)
    address, limit, clock = settings.kraken_api_url, settings.kraken_requests_per_second, platform.clock
    book = connect(address, limit, rate_limiter=platform.rate_limiter).pairs()
    pairs = [book.find(instrument.symbol) for instrument in instruments]
    symbols = frozenset(instrument.symbol for instrument in instruments)
    of_quotes = basis not in (None, Basis.TRADE)

    def live(known: LastEvent, rejected: RejectMessage) -> LiveFeed:
        return KrakenFeed(settings.kraken_ws_url, pairs, clock=clock, known=known, rejected=rejected)

    def polled(_known: LastEvent, _rejected: RejectMessage) -> LiveFeed:
        client = connect(
            address, limit, rate_limiter=platform.rate_limiter, retries=Retries(attempts=_POLLING_ATTEMPTS)
        )
        return PollingFeed(KrakenQuotes(client, clock), instruments, clock=clock)

    if settings.kraken_live == "polling" and not of_quotes:
        return FeedPlan("kraken", stream, {}, polled, quoted=symbols)
    make = polled if settings.kraken_live == "polling" else live
    return FeedPlan("kraken", stream, dict.fromkeys(symbols, basis or Basis.TRADE), make, fill_no_trade=not of_quotes)


def _plan_ibkr(
    settings: Settings, instruments: Sequence[Instrument], stream: str, basis: Basis | None, platform: PlatformContext
) -> FeedPlan:
    """Quotes; bars are built from them for currency pairs, and for all symbols if the basis is a quote."""
    from trading_platform.resources.demonstration import check_not_refused
    from trading_platform.resources.ibkr import gateway_of, log_absences
    from trading_platform.sources.ibkr.live.stream import IbkrFeed
    from trading_platform.sources.ibkr.maintenance import parse_maintenance
    from trading_platform.sources.live import LastEvent

    check_not_refused(settings, "ibkr")
    gateway, maintenance = gateway_of(settings), parse_maintenance(settings.ibkr_maintenance)
    of_quotes = basis not in (None, Basis.TRADE)
    basis_of = {
        instrument.symbol: basis if of_quotes and basis is not None else Basis.MID
        for instrument in instruments
        if of_quotes or instrument.asset_class is AssetClass.FX
    }

    def away(timestamp: datetime) -> bool:
        return maintenance.around(timestamp) is not None

    def make(_known: LastEvent, _rejected: RejectMessage) -> LiveFeed:
        return IbkrFeed(
            gateway,
            instruments,
            lines=settings.ibkr_market_data_lines,
            maintenance=maintenance,
            clock=platform.clock,
            on_absence=log_absences(platform.stores.database),
        )

    make(LastEvent(), lambda _message: None)  # raises for too many symbols before anything is opened
    quoted = frozenset(instrument.symbol for instrument in instruments) - basis_of.keys()
    return FeedPlan("ibkr", stream, basis_of, make, quoted=quoted, away=away)


Planner = Callable[["Settings", Sequence[Instrument], str, Basis | None, "PlatformContext"], FeedPlan]

PLANNERS: dict[str, Planner] = {"kraken": _plan_kraken, "ibkr": _plan_ibkr}
"""The planner of each source with a live feed."""
