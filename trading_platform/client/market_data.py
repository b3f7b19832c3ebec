"""Reads of stored market data: bars, prices, corporate actions and indicators, now or point-in-time.

The reads of features are in :mod:`trading_platform.client.features.reads`.
:class:`trading_platform.client.platform.Platform` has these reads, and what else agents read and write.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import polars as pl

from trading_platform.client.features.reads import FeatureReads
from trading_platform.client.names import known_names, symbols_of
from trading_platform.client.timestamps import Timestamp, as_timestamp, as_window
from trading_platform.domain.derived.indicators import INDICATOR_NAMES
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.adjustment import Adjustment, parse_adjustment
from trading_platform.domain.market.calendars import availability
from trading_platform.domain.market.corporate_actions import actions_frame
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.texts import shown
from trading_platform.domain.time import Timeframe
from trading_platform.workflows.corporate_actions.adjust import adjusted_bars

Adjust = Literal["raw", "split", "total_return"]
"""The adjustment of bars."""

_MOST_BARS = 10_000_000  # per symbol; twenty years of minutes


class MarketData(FeatureReads):
    """The stored market data.

    Args:
        stores: the stores to read.
        clock: the time of reads as of now.
        missing: what reads of features do where too many values are missing, unless they say otherwise.
    """

    def instruments(self, symbols: str | Sequence[str] | None = None) -> dict[str, Instrument]:
        """Instruments by symbol: the whole universe, or those with some symbols.

        Raises:
            InvalidRequest: naming each symbol that the universe does not have, and similar ones that it has.
        """
        return self._stores.instruments.all() if symbols is None else self._instruments(symbols)

    def bars(
        self,
        symbols: str | Sequence[str],
        timeframe: str,
        start: Timestamp,
        end: Timestamp,
        adjust: Adjust = "raw",
        as_of: Timestamp | None = None,
        recorded_as_of: Timestamp | None = None,
    ) -> pl.DataFrame:
        """Final OHLCV bars of a half-open window, as traded or adjusted (docs/corporate-actions.md).

        Args:
            symbols: one or several.
            timeframe: ``1m``, ``5m``, ``1h`` or ``1d``.
            start: start of the window, included.
            end: end of the window, not included.
            adjust: ``raw``, prices as traded; ``split``, prices and volumes split-adjusted as of ``as_of``;
                ``total_return``, prices adjusted for dividends as well.
            as_of: point in time of the read: leaves out bars that had not closed by then, and ignores corporate
                actions that were not known or not in force by then; None means now, or ``recorded_as_of``.
            recorded_as_of: what this platform had stored at a time, before later corrections and repairs: a reader
                got this then. None means what is stored now.

        Returns:
            Columns ``time`` (open, UTC), ``symbol``, ``timeframe``, ``open``, ``high``, ``low``,
            ``close`` (decimals), ``volume``, ``source``, ``quality``; sorted by (symbol, time).

        Raises:
            InvalidRequest: unknown symbol, timeframe or adjustment, an end before the start, or a ``recorded_as_of``
                in the future or before the platform kept what it replaces.
            QualityError: if bars cannot be adjusted for a dividend, for example because the close before it is
                missing.
        """
        how = parse_adjustment(adjust)
        length = Timeframe.parse(timeframe)
        instruments = self._instruments(symbols)
        window, now = as_window(start, end), self._clock()
        recorded = self._recorded(recorded_as_of, now)
        if recorded is None:
            bars = self._stores.bars.read(list(instruments), length, window)
        else:
            bars = self._stores.revisions.bars(list(instruments), length, window, recorded)
        timestamp = (recorded or now) if as_of is None else as_timestamp(as_of)
        closed = bars if as_of is None else _closed_by(bars, instruments, length, timestamp)
        return adjusted_bars(self._stores, closed, instruments, length, how, timestamp, recorded)

    def last_bars(
        self, symbols: str | Sequence[str], timeframe: str, count: int, adjust: Adjust = "raw"
    ) -> pl.DataFrame:
        """The last final bars of each symbol, as traded or adjusted.

        Args:
            symbols: one or several.
            timeframe: ``1m``, ``5m``, ``1h`` or ``1d``.
            count: number of bars of each symbol; a symbol with fewer bars returns all of them, however old.
            adjust: as for :meth:`bars`, as of now.

        Returns:
            The columns of :meth:`bars`, sorted by (symbol, time).

        Raises:
            InvalidRequest: unknown symbol, timeframe or adjustment, or a count below 1.
            QualityError: as raised by :meth:`bars`.
        """
        how = parse_adjustment(adjust)
        length = Timeframe.parse(timeframe)
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= _MOST_BARS:
            raise InvalidRequest(
                "This number of bars cannot be read.",
                expected=f"a whole number from 1 to {_MOST_BARS:,}",
                received=shown(count),
                remedy="give the number of bars of each symbol, or read a window with bars()",
            )
        names = symbols_of(symbols)
        now = self._clock()
        bars = self._stores.bars.last(names, length, count, now)
        if bars["symbol"].n_unique() < len(names):
            self._instruments(names)
        if how is Adjustment.RAW:
            return bars
        return adjusted_bars(self._stores, bars, self._instruments(names), length, how, now)

    def corporate_actions(self, symbols: str | Sequence[str] | None = None) -> pl.DataFrame:
        """The splits and dividends of some symbols; None means all.

        Returns:
            ``symbol``, ``ex_date`` (midnight UTC), ``kind``, ``new_shares`` and ``old_shares`` (of a split), ``amount``
            (of a dividend, per share of the ex-date), ``currency``, ``source``, ``known_at``; sorted by (symbol,
            ex_date).
        """
        return actions_frame(self._stores.corporate_actions.read(None if symbols is None else symbols_of(symbols)))

    def latest_prices(self, symbols: str | Sequence[str] | None = None) -> pl.DataFrame:
        """The newest price of each symbol in the stored bars.

        It is the close of the newest minute that opened within the last hour, if there is one; else the close of the
        newest bar of any timeframe, and among bars with the same open that of the shortest timeframe.

        Args:
            symbols: one or several; None means the whole universe.

        Returns:
            ``symbol``, ``time`` (the bar's open, UTC), ``timeframe``, ``price`` (decimal), sorted by
            symbol. A symbol without any bar has no row. Check ``time`` before you trust a price.

        Raises:
            InvalidRequest: unknown symbol.
        """
        names = list(self.instruments()) if symbols is None else symbols_of(symbols)
        prices = self._stores.bars.latest_prices(names, self._clock())
        if prices.height < len(names) and symbols is not None:
            self._instruments(names)
        return prices

    def indicators(
        self,
        symbols: str | Sequence[str],
        timeframe: str,
        start: Timestamp,
        end: Timestamp,
        names: Sequence[str] | None = None,
        as_of: Timestamp | None = None,
        recorded_as_of: Timestamp | None = None,
    ) -> pl.DataFrame:
        """Indicators of a half-open window, one column each; NULL while warming up.

        Args:
            symbols: one or several.
            timeframe: ``1m``, ``5m``, ``1h`` or ``1d``.
            start: start of the window, included.
            end: end of the window, not included.
            names: which indicators; all by default.
            as_of: point in time of the read: leaves out those of bars that had not closed by then.
            recorded_as_of: what this platform had stored at a time, as for :meth:`bars`.

        Returns:
            ``time``, ``symbol``, ``timeframe`` and the named indicators as floats.

        Raises:
            InvalidRequest: unknown symbol, timeframe or indicator, an end before the start, or a ``recorded_as_of``
                in the future or before the platform kept what it replaces.
        """
        wanted = known_names("indicator", names, INDICATOR_NAMES)
        length = Timeframe.parse(timeframe)
        instruments, window = self._instruments(symbols), as_window(start, end)
        recorded = self._recorded(recorded_as_of, self._clock())
        if recorded is None:
            rows = self._stores.indicators.read(list(instruments), length, window, wanted)
        else:
            rows = self._stores.revisions.indicators(list(instruments), length, window, recorded, wanted)
        return rows if as_of is None else _closed_by(rows, instruments, length, as_timestamp(as_of))

    def _recorded(self, recorded_as_of: Timestamp | None, now: datetime) -> datetime | None:
        if recorded_as_of is None:
            return None
        timestamp = as_timestamp(recorded_as_of)
        self._stores.revisions.check(timestamp, now)
        return timestamp


def _closed_by(
    rows: pl.DataFrame, instruments: dict[str, Instrument], timeframe: Timeframe, timestamp: datetime
) -> pl.DataFrame:
    """The rows whose bars had closed by a timestamp, each by its own market's calendar."""
    parts = [
        part.filter(availability(instruments[symbol].calendar, timeframe, part) <= timestamp)
        for (symbol,), part in rows.partition_by("symbol", as_dict=True, maintain_order=True).items()
    ]
    return pl.concat(parts) if parts else rows
