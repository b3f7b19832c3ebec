"""A market that replays recordings: Kraken's own responses, or a file of trades."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Self

import numpy as np

from trading_platform.domain.errors import InvalidRequest
from trading_platform.simulator.market import (
    MINUTE_SECONDS,
    SECOND,
    Candles,
    Trades,
    fill_grid,
    roll_up_trades,
)
from trading_platform.simulator.pairs import LOT_DECIMALS, Pair

_TRADE_ROW = 7  # price, volume, time, side, order type, miscellaneous, trade id
_CANDLE_ROW = 8  # time, open, high, low, close, vwap, volume, count


@dataclass
class _Recording:
    pair: Pair
    trades: Trades = field(default_factory=Trades.none)
    candles: dict[int, Candles] = field(default_factory=dict)


class RecordedMarket:
    """Trades and candles as recorded; candles that were not recorded are rolled up from the trades.

    Nothing happens after the recording's end: later candles repeat its last price without volume.
    Give the exchange a clock near :attr:`end`, or its history lies far back.

    Args:
        recordings: the recordings, one per pair; made by :meth:`from_payloads` and :meth:`from_csv`.
    """

    def __init__(self, recordings: Sequence[_Recording]) -> None:
        self._recordings = {recording.pair: recording for recording in recordings}

    @classmethod
    def from_payloads(
        cls,
        trades: Path | None = None,
        candles: Mapping[int, Path] | None = None,
        asset_pairs: Path | None = None,
    ) -> Self:
        """A market from Kraken's recorded responses, each a JSON file with its envelope.

        Args:
            trades: a response of ``Trades``.
            candles: responses of ``OHLC`` by their interval in minutes.
            asset_pairs: the response of ``AssetPairs`` that describes the pairs; without it prices
                have eight decimals and the pair is spelled as in the recording.

        Raises:
            InvalidRequest: if a file is not such a response.
        """
        listed = _read_result(asset_pairs) if asset_pairs else {}
        recordings: dict[str, _Recording] = {}
        for interval, path in [(0, trades), *(candles or {}).items()]:
            if path is None:
                continue
            for name, rows in _read_result(path).items():
                if name == "last":
                    continue
                recording = recordings.setdefault(name, _Recording(_pair(name, listed.get(name, {}))))
                _add(recording, interval, rows, path)
        return cls(list(recordings.values()))

    @classmethod
    def from_csv(cls, path: Path, pair: Pair) -> Self:
        """A market from a CSV of trades without a header: seconds since 1970, price, volume; Kraken's bulk form.

        Raises:
            InvalidRequest: if the file is not such a CSV.
        """
        rows: list[list[Any]] = []
        try:
            with path.open(newline="", encoding="utf-8") as file:
                for number, (time, price, volume, *_) in enumerate(csv.reader(file), start=1):
                    rows.append([price, volume, time, "b", "l", "", number])
        except (OSError, ValueError) as error:
            raise _unreadable(path, f"{error} in line {len(rows) + 1}") from None
        recording = _Recording(pair)
        _add(recording, 0, rows, path)
        return cls([recording])

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The listed pairs."""
        return tuple(self._recordings)

    @property
    def end(self) -> datetime:
        """The last time in the recordings: that of their last trade, or the open of their last candle."""
        times = [
            *(int(one.trades.time[-1]) for one in self._recordings.values() if len(one.trades)),
            *(int(rows.time[-1]) * SECOND for one in self._recordings.values() for rows in one.candles.values()),
        ]
        return datetime.fromtimestamp(max(times) // SECOND, UTC)

    def trades_after(self, pair: Pair, since: int, until: int, limit: int) -> Trades:
        """The first ``limit`` trades later than ``since`` and not later than ``until`` (nanoseconds)."""
        return self._recordings[pair].trades.between(since + 1, until + 1)[:limit]

    def latest_trades(self, pair: Pair, until: int, limit: int) -> Trades:
        """The last ``limit`` trades not later than ``until`` (nanoseconds)."""
        trades = self._recordings[pair].trades.between(0, until + 1)
        return trades[max(len(trades) - limit, 0) :]

    def candles(self, pair: Pair, minutes: int, first: int, until: int) -> Candles:
        """Candles of ``minutes`` length opening from ``first`` (seconds) up to the one running at ``until``."""
        length = minutes * MINUTE_SECONDS
        recording = self._recordings[pair]
        available = recording.candles.get(minutes)
        if available is None:
            available = roll_up_trades(recording.trades.between(0, until + 1), minutes)
        running = until // SECOND // length * length
        available = available[: int(np.searchsorted(available.time, running, side="right"))]
        start = -(-first // length) * length
        return fill_grid(available, minutes, start, running, None) if running >= start else Candles.none()


def _read_result(path: Path) -> dict[str, Any]:
    try:
        result = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)["result"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unreadable(path, f"{type(error).__name__}: {error}") from None
    if not isinstance(result, dict):
        raise _unreadable(path, "its result is not an object")
    return result


def _unreadable(path: Path, why: str) -> InvalidRequest:
    return InvalidRequest(
        f"The recording {path} cannot be read.",
        expected="a response of Kraken's public REST with its envelope, or a CSV of time, price, volume",
        received=why,
        remedy="use the unchanged recording",
    )


def _pair(name: str, description: Mapping[str, Any]) -> Pair:
    wsname = str(description.get("wsname", name))
    return Pair(
        symbol=wsname.replace("XBT/", "BTC/").replace("XDG/", "DOGE/").replace("/", ""),
        name=name,
        wsname=wsname,
        base=str(description.get("base", name)),
        quote=str(description.get("quote", name)),
        price_decimals=int(description.get("pair_decimals", LOT_DECIMALS)),
        order_minimum=str(description.get("ordermin", "0.0001")),
    )


def _add(recording: _Recording, interval: int, rows: Sequence[Sequence[Any]], path: Path) -> None:
    try:
        if interval:
            recording.candles[interval] = _candles(rows, recording.pair)
        else:
            recording.trades = _trades(rows, recording.pair)
    except (ValueError, TypeError, IndexError, InvalidOperation) as error:
        raise _unreadable(path, f"{type(error).__name__}: {error}") from None


def _units(values: Iterable[Any], decimals: int) -> list[int]:
    scale = Decimal(10) ** decimals
    return [int(Decimal(str(value)) * scale) for value in values]


def _trades(rows: Sequence[Sequence[Any]], pair: Pair) -> Trades:
    price, quantity, time, side, kind, _, number = list(zip(*rows, strict=True))[:_TRADE_ROW]
    return Trades(
        time=np.array(_units(time, 7), dtype=np.int64) * 100,
        price=np.array(_units(price, pair.price_decimals), dtype=np.int64),
        quantity=np.array(_units(quantity, LOT_DECIMALS), dtype=np.int64),
        buyer=np.array([one == "b" for one in side], dtype=np.int64),
        market=np.array([one == "m" for one in kind], dtype=np.int64),
        trade_id=np.array(number, dtype=np.int64),
    )


def _candles(rows: Sequence[Sequence[Any]], pair: Pair) -> Candles:
    time, *prices, volume, count = list(zip(*rows, strict=True))[:_CANDLE_ROW]
    columns = [
        time,
        *(_units(column, pair.price_decimals) for column in prices),
        _units(volume, LOT_DECIMALS),
        count,
    ]
    return Candles(*(np.array(column, dtype=np.int64) for column in columns))
