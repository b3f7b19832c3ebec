"""What the tests of Interactive Brokers share: instruments, a market for the gateway, and who asks it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import exchange_calendars
import polars as pl
from ib_gateway import Bar, FakeGateway, Listing

from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Window
from trading_platform.sources.ibkr.client import IbkrClient
from trading_platform.sources.ibkr.session import Gateway
from trading_platform.sources.ibkr.source import IbkrSource
from trading_platform.sources.live import Backoff
from trading_platform.sources.rate_limits import LocalRateLimiter, RateLimiter

NOW = datetime(2025, 3, 3, 12, tzinfo=UTC)
IBM = Instrument("IBM", AssetClass.EQUITY, "XNYS", "ibkr")
SPY = Instrument("SPY", AssetClass.ETF, "XNYS", "ibkr")
EURUSD = Instrument("EURUSD", AssetClass.FX, "FX", "ibkr")
LISTINGS = [
    Listing(101, "IBM"),
    Listing(102, "SPY", primary="ARCA"),
    Listing(103, "EUR", "CASH", "IDEALPRO", "", "USD", "0.00005"),
    Listing(104, "TWIN"),
    Listing(105, "TWIN", primary="NYSE"),
    Listing(106, "BRK B"),
]


class SharedTime:
    """A clock that only moves when somebody waits on it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def wait(self, seconds: float) -> None:
        self.seconds += seconds


def rate_limiter_by(clock: SharedTime | None) -> LocalRateLimiter:
    """A budget by that clock, or by the wall clock."""
    return LocalRateLimiter(monotonic=clock, sleep=clock.wait) if clock is not None else LocalRateLimiter()


def minutes(calendar: str, start: str, end: str) -> list[Bar]:
    """A minute bar for every minute of every session, from a seeded walk in cents."""
    chance, cents, bars = random.Random(7), 15_000, []
    for day in exchange_calendars.get_calendar(calendar).sessions_in_range(start, end):
        opens, closes = exchange_calendars.get_calendar(calendar).session_open_close(day)
        timestamp = opens.to_pydatetime()
        while timestamp < closes.to_pydatetime():
            moves = sorted(chance.choices(range(-9, 10), k=2))
            o, c = cents, cents + chance.choice(moves)
            low, high = min(o, c) + min(moves[0], 0), max(o, c) + max(moves[1], 0)
            texts = [f"{value // 100}.{value % 100:02d}" for value in (o, high, low, c)]
            bars.append((timestamp, *texts, str(chance.randrange(1, 90_000)), chance.randrange(1, 200)))
            cents = max(c, 5_000)
            timestamp += timedelta(minutes=1)
    return bars


def as_frame(bars: Sequence[Bar]) -> pl.DataFrame:
    price, volume = pl.Decimal(18, 8), pl.Decimal(24, 8)
    columns = ["time", "open", "high", "low", "close", "volume"]
    frame = pl.DataFrame([bar[:6] for bar in bars], schema=columns, orient="row")
    return frame.with_columns(
        pl.col("time").cast(pl.Datetime("us", "UTC")),
        *(pl.col(name).cast(price) for name in columns[1:5]),
        pl.col("volume").cast(volume),
    )


@contextmanager
def source_at(gateway: FakeGateway, rate_limiter: RateLimiter, **options: object) -> Iterator[IbkrSource]:
    client = client_at(gateway, rate_limiter, **options)
    source = IbkrSource(lambda: client, clock=lambda: NOW)
    try:
        yield source
    finally:
        client.close()


def client_at(gateway: FakeGateway, rate_limiter: RateLimiter, **options: object) -> IbkrClient:
    given: dict[str, object] = {"response_seconds": 5, "backoff": Backoff(first=0.05, longest=0.1), **options}
    return IbkrClient(Gateway("127.0.0.1", gateway.port), rate_limiter, **given)  # type: ignore[arg-type]


def day(date: str) -> Window:
    start = datetime.fromisoformat(date).replace(tzinfo=UTC)
    return Window(start, start + timedelta(days=1))
