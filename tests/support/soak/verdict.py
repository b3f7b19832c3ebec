"""What came of a soak: bars against the market's trades, and what the system events say of each fault."""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from soak.platform import SoakPlatform
from trading_platform.domain.time import Timeframe, Window
from trading_platform.resources.platform import open_platform
from trading_platform.simulator.market import nanoseconds
from trading_platform.simulator.pairs import LOT_DECIMALS, Pair
from trading_platform.simulator.seeded import SeededMarket

VALUES = ["symbol", "time", "open", "high", "low", "close", "volume"]


@dataclass(frozen=True)
class Survived:
    """One fault and how it was healed.

    Attributes:
        hour: of the soak.
        kind: its name.
        healed: simulated time from its end until everything was well.
        events: kinds of system events since the hour began that have an end.
    """

    hour: int
    kind: str
    healed: timedelta
    events: frozenset[str]


def bars_of_trades(market: SeededMarket, pair: Pair, timeframe: Timeframe, window: Window) -> pl.DataFrame:
    """The bars of a window by their definition: of all trades; without any, the last price and no volume."""
    end = nanoseconds(window.end) - 1
    trades = market.trades_after(pair, nanoseconds(window.start) - 1, end, 10**9)
    before = market.latest_trades(pair, nanoseconds(window.start) - 1, 1)
    length = int(timeframe.duration.total_seconds()) * 10**9
    frame = pl.DataFrame(
        {"at": trades.time, "price": trades.price, "quantity": trades.quantity, "number": trades.trade_id}
    ).sort("at", "number")
    bars = frame.group_by((pl.col("at") // length * length).alias("start"), maintain_order=True).agg(
        open=pl.col("price").first(),
        high=pl.col("price").max(),
        low=pl.col("price").min(),
        close=pl.col("price").last(),
        volume=pl.col("quantity").sum(),
    )
    grid = pl.DataFrame({"start": range(nanoseconds(window.start), end, length)}, schema={"start": pl.Int64})
    last = pl.col("close").forward_fill().fill_null(int(before.price[-1]))
    whole = grid.join(bars, on="start", how="left").with_columns(filled=last)
    return whole.select(
        symbol=pl.lit(pair.symbol),
        time=pl.from_epoch("start", "ns").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
        **{name: pl.col(name).fill_null(pl.col("filled")) for name in ("open", "high", "low", "close")},
        volume=pl.col("volume").fill_null(0),
    )


def differing_bars(platform: SoakPlatform, market: SeededMarket, window: Window) -> tuple[dict[str, int], list[str]]:
    """The numbers of stored bars by timeframe, and all that are lost, doubled or wrong."""
    counted: dict[str, int] = {}
    found: list[str] = []
    with open_platform(platform.settings(), clock=platform.clock) as opened:
        for timeframe in Timeframe:
            length = timeframe.duration
            first, end = _up(window.start, length), _down(window.end, length)
            for pair in market.pairs if end > first else ():
                whole = Window(first, end)
                expected = bars_of_trades(market, pair, timeframe, whole)
                stored = _in_units(opened.stores.bars.read([pair.symbol], timeframe, whole), pair)
                counted[timeframe.value] = counted.get(timeframe.value, 0) + stored.height
                what = f"{pair.symbol} {timeframe.value}"
                lost = expected.join(stored, on=["symbol", "time"], how="anti")
                found += [f"lost {what} {row}" for row in lost["time"].to_list()]
                wrong = stored.join(expected, on=VALUES, how="anti")
                found += [f"wrong {what} {row}" for row in wrong.rows()]
                if stored.height != stored["time"].n_unique():
                    found.append(f"doubled {what}: {stored.height} rows of {stored['time'].n_unique()} times")
    return counted, found


def _in_units(bars: pl.DataFrame, pair: Pair) -> pl.DataFrame:
    """Stored bars in ticks and lots; a value that is no whole number of them stays different."""
    scale = dict.fromkeys(("open", "high", "low", "close"), pair.price_decimals) | {"volume": LOT_DECIMALS}

    def units(name: str) -> list[int | None]:
        scaled = [None if value is None else value.scaleb(scale[name]) for value in bars[name].to_list()]
        return [int(value) if value is not None and value == int(value) else None for value in scaled]

    return bars.select("symbol", pl.col("time").cast(pl.Datetime("us", "UTC"))).with_columns(
        pl.Series(name, units(name), pl.Int64) for name in scale
    )


def ended_since(platform: SoakPlatform, event: int) -> frozenset[str]:
    """The kinds of system events after one that say of something that it began and that it is over."""
    rows = platform.rows(
        "SELECT event_type FROM audit.system_events WHERE id > %s AND metadata ? 'incident'"
        " GROUP BY event_type, metadata->>'incident' HAVING count(DISTINCT metadata->>'over') = 2",
        event,
    )
    return frozenset(row[0] for row in rows)


_LINE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) (\w+) ([\w.]+): (.*)")
_SAME = 40
"""Characters of a message, without its numbers, by which two lines have one cause."""


def repeated_lines(logs: Iterable[Path]) -> tuple[int, list[str]]:
    """The number of lines of some logs, and those that came within a minute of another of their cause, or are none."""
    count, found = 0, []
    for log in logs:
        last: dict[tuple[str, ...], datetime] = {}
        for line in log.read_text(errors="replace").splitlines():
            count += 1
            if (parts := _LINE.fullmatch(line)) is None:
                found.append(f"no line of the log: {line}")
                continue
            at = datetime.fromisoformat(parts[1])
            cause = (parts[2], parts[3], re.sub(r"\d+", "#", parts[4])[:_SAME])
            if cause in last and at - last[cause] < timedelta(seconds=59):  # times are written in whole seconds
                found.append(f"{(at - last[cause]).total_seconds():.0f} s after the line before: {line}")
            last[cause] = at
    return count, found


def table(survived: Sequence[Survived]) -> str:
    """The time to heal of each kind, and what the system events said."""
    by_kind: dict[str, list[Survived]] = defaultdict(list)
    for each in survived:
        by_kind[each.kind].append(each)
    lines = [f"{'fault':<34} {'times':>5} {'p50':>8} {'max':>8}  system events"]
    for kind, found in sorted(by_kind.items()):
        seconds = [each.healed.total_seconds() for each in found]
        said = sorted({event for each in found for event in each.events})
        lines.append(
            f"{kind:<34} {len(found):>5} {statistics.median(seconds):>6.0f} s {max(seconds):>6.0f} s"
            f"  {', '.join(said) or '-'}"
        )
    return "\n".join(lines)


def _up(time: datetime, length: timedelta) -> datetime:
    floor = _down(time, length)
    return floor if floor == time else floor + length


def _down(time: datetime, length: timedelta) -> datetime:
    return time - timedelta(seconds=time.timestamp() % length.total_seconds())
