"""Faults planted into slices of real bars, kind by kind, with the rules by which each may be found."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import polars as pl

from trading_platform.sources.files.content.contents import open_contents
from trading_platform.sources.files.content.options import ImportOptions
from trading_platform.sources.files.reading import read_content

PRICES = ["open", "high", "low", "close"]
NOW = datetime(2026, 11, 30, tzinfo=UTC)


@dataclass(frozen=True)
class Slice:
    """Bars without a fault, as floats.

    Attributes:
        name: what they are.
        symbol: of them.
        calendar: of their market.
        bars: ``time``, prices and ``volume``.
    """

    name: str
    symbol: str
    calendar: str
    bars: pl.DataFrame

    @property
    def is_daily(self) -> bool:
        return bool((self.bars["time"].diff().drop_nulls().min() or timedelta()) >= timedelta(days=1))


_SLICES = [  # path, symbol, calendar, first day, number of bars
    ("daily/AAPL_2004-2018_yahoo.csv", "AAPL", "XNYS", "2005-03-01", 300),
    ("daily/AAPL_2004-2018_yahoo.csv", "AAPL", "XNYS", "2009-03-01", 300),
    ("daily/AAPL_2004-2018_yahoo.csv", "AAPL", "XNYS", "2013-01-01", 300),
    ("daily/GOOG_2004-2013.csv", "GOOG", "XNYS", "2005-01-03", 300),
    ("daily/GOOG_2004-2013.csv", "GOOG", "XNYS", "2008-06-02", 300),
    ("daily/GOOG_2004-2013.csv", "GOOG", "XNYS", "2011-01-03", 300),
    ("daily/KO_daily.csv", "KO", "XNYS", "1997-01-02", 300),
    ("daily/PEP_daily.csv", "PEP", "XNYS", "1997-01-02", 300),
    ("daily/SPY_2008-2018_yahoo.csv", "SPY", "XNYS", "2008-01-02", 300),
    ("daily/SPY_2008-2018_yahoo.csv", "SPY", "XNYS", "2016-01-04", 300),
    ("daily/IWM_lean_daily.csv", "IWM", "XNYS", "2001-01-02", 300),
    ("daily/IWM_lean_daily.csv", "IWM", "XNYS", "2015-01-02", 300),
    ("daily/BTCUSD_coinbase_lean_daily_trade.csv", "BTCUSD", "24/7", "2016-01-01", 300),
    ("minute/SPY_1m_2013-10_trade.csv.gz", "SPY", "XNYS", "2013-10-04", 4800),
    ("minute/EURUSD_oanda_1m_2014-05_quote.csv.gz", "EURUSD", "FX", "2014-05-01", 12000),
    ("minute/USDJPY_m1_bid_2013_fxcm.csv", "USDJPY", "FX", "2013-02-01", 10000),
    ("minute/USDJPY_m1_ask_2013_fxcm.csv", "USDJPY", "FX", "2013-02-11", 10000),
    ("minute/UNITTEST_BTC-1m.feather", "BTCUSD", "24/7", "2017-11-05", 5000),
    ("minute/ETH_BTC-5m.feather", "ETHBTC", "24/7", "2018-01-11", 4000),
    ("hourly/SPY_lean_hour.csv.gz", "SPY", "XNYS", "2012-01-03", 1400),
]


def slices(root: Path) -> list[Slice]:
    """The slices of the real files below a folder."""
    return [_slice(root / path, symbol, calendar, first, count) for path, symbol, calendar, first, count in _SLICES]


def _slice(path: Path, symbol: str, calendar: str, first: str, count: int) -> Slice:
    (content,) = open_contents(path)
    reading = read_content(content, ImportOptions(symbol=symbol), now=NOW, zone_of=lambda _: "America/New_York")
    start = datetime.fromisoformat(first).replace(tzinfo=UTC)
    bars = reading.bars.filter(pl.col("time") >= start).head(count)
    floats = bars.select("time", *(pl.col(name).cast(pl.Float64) for name in [*PRICES, "volume"]))
    return Slice(f"{path.name} {first}", symbol, calendar, floats)


@dataclass(frozen=True)
class Planted:
    """A slice with a fault.

    Attributes:
        kind: of the fault.
        text: the file.
        symbol: of the slice.
        rules: rules, reasons of rejected rows, or words of a rejection, one of which names the cause.
        stored: the bars of another source, if the fault is one that only a comparison shows.
    """

    kind: str
    text: str
    symbol: str
    rules: tuple[str, ...]
    stored: pl.DataFrame | None = None


Fault = Callable[[Slice, random.Random], tuple[pl.DataFrame, pl.DataFrame | None]]
"""Returns the bars with the fault, and those of another source if it takes them to see it."""


def text_of(bars: pl.DataFrame) -> str:
    """The bars as a file, with times in UTC that say no zone."""
    shown = bars.with_columns(pl.col("time").dt.strftime("%Y-%m-%d %H:%M:%S"), pl.col(pl.Float64).round(8))
    return shown.rename({"time": "timestamp"}).write_csv()


def _scaled(bars: pl.DataFrame, first: int, last: int, factor: float, names: Sequence[str] = PRICES) -> pl.DataFrame:
    inside = pl.int_range(pl.len()).is_between(first, last - 1)
    return bars.with_columns(pl.when(inside).then(pl.col(name) * factor).otherwise(name).alias(name) for name in names)


def _run(kept: Slice, chance: random.Random, length: int) -> tuple[int, int]:
    first = chance.randint(40, kept.bars.height - length - 40)
    return first, first + length


def _scaled_run(factor: float, length: int) -> Fault:
    def plant(kept: Slice, chance: random.Random) -> tuple[pl.DataFrame, None]:
        return _scaled(kept.bars, *_run(kept, chance, length), factor), None

    return plant


def _scaled_tail(kept: Slice, chance: random.Random) -> tuple[pl.DataFrame, None]:
    return _scaled(kept.bars, _run(kept, chance, 1)[0], kept.bars.height, 100), None


def _scaled_head(kept: Slice, chance: random.Random) -> tuple[pl.DataFrame, None]:
    return _scaled(kept.bars, 0, _run(kept, chance, 1)[0], 0.1), None


def _one_price(name: str, factor: float) -> Fault:
    def plant(kept: Slice, chance: random.Random) -> tuple[pl.DataFrame, None]:
        return _scaled(kept.bars, *_run(kept, chance, 3), factor, [name]), None

    return plant


def _wrong_zone(kept: Slice, chance: random.Random) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """The whole file hours away (days, of daily bars); of a market that never closes only another source shows it."""
    shift = timedelta(days=1) if kept.is_daily else timedelta(hours=chance.choice([-9, -6, 6, 9]))
    stored = kept.bars if kept.calendar == "24/7" else None
    return kept.bars.with_columns(pl.col("time") + shift), stored


def _wrong_zone_in_part(kept: Slice, chance: random.Random) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """The last third of the file hours away, or days; where no session ends in it only another source shows it."""
    shift = timedelta(days=1) if kept.is_daily else timedelta(hours=chance.choice([6, 9]))
    cut = kept.bars.height * 2 // 3
    moved = pl.concat([kept.bars.head(cut), kept.bars.slice(cut).with_columns(pl.col("time") + shift)])
    closes_each_day = kept.calendar == "XNYS"
    return moved, None if closes_each_day else kept.bars


def _frozen(kept: Slice, chance: random.Random) -> tuple[pl.DataFrame, None]:
    length = 15 if kept.is_daily else 400
    first, last = _run(kept, chance, length)
    inside = pl.int_range(pl.len()).is_between(first, last - 1)
    price = kept.bars["close"][first - 1]
    frozen = [pl.when(inside).then(price).otherwise(name).alias(name) for name in PRICES]
    return kept.bars.with_columns(*frozen), None


def _copied_rows(kept: Slice, chance: random.Random) -> tuple[pl.DataFrame, None]:
    volume = (kept.bars["volume"].fill_null(0) > 0).any()
    told_apart = kept.bars["high"] > kept.bars["low"]
    places = [
        n for n in range(40, kept.bars.height - 60) if told_apart[n] and (not volume or kept.bars["volume"][n] > 0)
    ]
    first = chance.choice(places)
    copies = 6 if volume else (12 if kept.is_daily else 300)
    inside = pl.int_range(pl.len()).is_between(first, first + copies)
    names = [*PRICES, "volume"]
    return kept.bars.with_columns(
        pl.when(inside).then(pl.lit(kept.bars[name][first])).otherwise(name).alias(name) for name in names
    ), None


def _swapped(one: str, other: str) -> Fault:
    def plant(kept: Slice, chance: random.Random) -> tuple[pl.DataFrame, None]:
        del chance
        bars = kept.bars.with_columns(pl.col("volume").fill_null(1.0))
        return bars.with_columns(pl.col(one).alias(other), pl.col(other).alias(one)), None

    return plant


def _mixed(kept: Slice, chance: random.Random) -> tuple[pl.DataFrame, None]:
    factor = chance.choice([0.23, 0.37, 2.6, 4.1])
    other = pl.int_range(pl.len()) % 2 == 1
    return kept.bars.with_columns(
        pl.when(other).then(pl.col(name) * factor).otherwise(name).alias(name) for name in PRICES
    ), None


def _block_of_another(kept: Slice, chance: random.Random) -> tuple[pl.DataFrame, None]:
    return _scaled(kept.bars, *_run(kept, chance, 25), chance.choice([0.23, 0.37, 2.6, 4.1])), None


def _missing_session(kept: Slice, chance: random.Random) -> tuple[pl.DataFrame, None]:
    days = kept.bars["time"].dt.date().unique().sort()
    weekdays = [day for day in days[1:-1] if day.weekday() < 5]
    return kept.bars.filter(pl.col("time").dt.date() != chance.choice(weekdays)), None


def _repeated_day(kept: Slice, chance: random.Random) -> tuple[pl.DataFrame, None]:
    names = [*PRICES, "volume"]
    if kept.is_daily:
        at = chance.randint(40, kept.bars.height - 40)
        inside = pl.int_range(pl.len()) == at
        return kept.bars.with_columns(
            pl.when(inside).then(pl.lit(kept.bars[name][at - 5])).otherwise(name).alias(name) for name in names
        ), None
    days = kept.bars["time"].dt.date().unique().sort()
    pairs = [(one, two) for one, two in pairwise(days[1:]) if (two - one).days == 1 and two.weekday() < 5]
    one, two = chance.choice(pairs)
    copied = kept.bars.filter(pl.col("time").dt.date() == one).with_columns(pl.col("time") + timedelta(days=1))
    return pl.concat([kept.bars.filter(pl.col("time").dt.date() != two), copied]).sort("time"), None


def _other_unit_than_stored(kept: Slice, chance: random.Random) -> tuple[pl.DataFrame, pl.DataFrame]:
    return _scaled(kept.bars, 0, kept.bars.height, chance.choice([0.01, 10, 100])), kept.bars


def _another_than_stored(kept: Slice, chance: random.Random) -> tuple[pl.DataFrame, pl.DataFrame]:
    noise = pl.Series([1 + chance.uniform(-0.2, 0.2) for _ in range(kept.bars.height)])
    return kept.bars, kept.bars.with_columns(pl.col(name) * noise for name in PRICES)


KINDS: dict[str, tuple[Fault, tuple[str, ...]]] = {
    "ten times for 20 bars": (_scaled_run(10, 20), ("unit",)),
    "a hundredth for 20 bars": (_scaled_run(0.01, 20), ("unit",)),
    "a thousand times for a bar": (_scaled_run(1000, 1), ("unit",)),
    "a hundred times from a bar on": (_scaled_tail, ("unit",)),
    "a tenth up to a bar": (_scaled_head, ("unit",)),
    "ten times the high": (_one_price("high", 10), ("unit",)),
    "a hundredth of the low": (_one_price("low", 0.01), ("unit",)),
    "wrong zone": (_wrong_zone, ("time_zone",)),
    "wrong zone in a part": (_wrong_zone_in_part, ("time_zone", "sources_differ")),
    "frozen price": (_frozen, ("frozen",)),
    "copied rows": (_copied_rows, ("frozen",)),
    "high and low swapped": (_swapped("high", "low"), ("swapped_columns",)),
    "open and close swapped": (_swapped("open", "close"), ("swapped_columns",)),
    "close and volume swapped": (_swapped("close", "volume"), ("swapped_columns", "seem to be swapped")),
    "two instruments, row by row": (_mixed, ("other_instrument",)),
    "a block of another instrument": (_block_of_another, ("other_instrument",)),
    "a session missing": (_missing_session, ("missing_sessions",)),
    "a day twice": (_repeated_day, ("repeated_day",)),
    "another unit than stored": (_other_unit_than_stored, ("unit",)),
    "another instrument than stored": (_another_than_stored, ("sources_differ",)),
}


def plant(kind: str, kept: Slice, chance: random.Random) -> Planted:
    """A slice with a fault of a kind."""
    fault, rules = KINDS[kind]
    bars, stored = fault(kept, chance)
    return Planted(kind, text_of(bars), kept.symbol, rules, stored)
