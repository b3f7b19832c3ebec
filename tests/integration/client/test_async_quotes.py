"""Quotes in an event loop: those of Redis, many callers with few reads, and one loop after another."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from processes import free_port

from trading_platform.client.async_quotes import AsyncQuotes
from trading_platform.domain.errors import InvalidRequest, StoreUnavailable
from trading_platform.domain.market.live.events import Quote
from trading_platform.stores.redis.live import LiveStore, open_live_store

TIME = datetime(2024, 6, 3, 14, 30, tzinfo=UTC)


def quote(symbol: str, price: int) -> Quote:
    return Quote(symbol, TIME, Decimal(price), Decimal(price + 1), Decimal(price))


@pytest.fixture
def live(redis_url: str) -> Iterator[LiveStore]:
    with open_live_store(redis_url) as opened:
        opened.write_quotes([quote(f"Q{number}", 100 + number) for number in range(9)])
        yield opened


def test_callers_at_once_get_their_own_quotes_from_few_reads(live: LiveStore, redis_url: str) -> None:
    quotes = AsyncQuotes(lambda: redis_url)

    def commands() -> int:
        return live._redis.info("stats")["total_commands_processed"]

    async def asked() -> tuple[list[dict[str, Quote]], int]:
        await quotes.read(["Q1"])
        before = commands()
        found = await asyncio.gather(*(quotes.read([f"Q{number % 10}", "Q1"]) for number in range(100)))
        done = commands() - before
        await quotes.close()
        return found, done

    found, done = asyncio.run(asked())
    for number, each in enumerate(found):
        names = [f"Q{number % 10}", "Q1"]
        assert each == {name: quote(name, 100 + int(name[1:])) for name in names if name != "Q9"}, "Q9 has no quote"
    assert done < 2 * 11 + 20, "two scripts of eleven commands, not a hundred"


def test_who_asks_after_a_write_never_gets_an_older_quote(live: LiveStore, redis_url: str) -> None:
    quotes = AsyncQuotes(lambda: redis_url)

    async def asked() -> None:
        for price in range(200, 260):
            early = asyncio.ensure_future(quotes.read(["Q1"]))
            await asyncio.sleep(0)  # the first read is under way
            live.write_quotes([quote("Q1", price)])
            assert (await quotes.read(["Q1"]))["Q1"].last == price
            await early
        await quotes.close()

    asyncio.run(asked())


@pytest.mark.usefixtures("live")
def test_a_caller_that_goes_away_takes_the_answer_from_nobody_else(redis_url: str) -> None:
    quotes = AsyncQuotes(lambda: redis_url)

    async def asked() -> dict[str, Quote]:
        await quotes.read(["Q1"])
        gone, other = (asyncio.ensure_future(quotes.read(["Q2"])) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        found = await other
        await quotes.close()
        return found

    assert asyncio.run(asked()) == {"Q2": quote("Q2", 102)}


@pytest.mark.usefixtures("live")
def test_one_event_loop_after_another_is_served(redis_url: str) -> None:
    quotes = AsyncQuotes(lambda: redis_url)

    async def asked() -> dict[str, Quote]:
        found = await quotes.read(["Q3"])
        await quotes.close()
        return found

    assert asyncio.run(asked()) == asyncio.run(asked()) == {"Q3": quote("Q3", 103)}


@pytest.mark.usefixtures("live")
def test_an_invalid_symbol_fails_its_caller_alone(redis_url: str) -> None:
    quotes = AsyncQuotes(lambda: redis_url)

    async def asked() -> list[dict[str, Quote] | BaseException]:
        found = await asyncio.gather(
            quotes.read(["Q1"]), quotes.read(["no symbol"]), quotes.read([]), return_exceptions=True
        )
        await quotes.close()
        return found

    good, bad, none = asyncio.run(asked())
    assert good == {"Q1": quote("Q1", 101)}
    assert isinstance(bad, InvalidRequest)
    assert none == {}


def test_without_redis_the_error_says_so() -> None:
    quotes = AsyncQuotes(lambda: f"redis://127.0.0.1:{free_port()}/0")

    async def asked() -> None:
        try:
            await quotes.read(["Q1"])
        finally:
            await quotes.close()

    with pytest.raises(StoreUnavailable, match="Redis does not answer"):
        asyncio.run(asked())
