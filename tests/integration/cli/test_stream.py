"""The command ``stream`` as people meet it: quotes and bars while it runs, words where it cannot."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from commands import Installation, finish, installation, rows
from pydantic import SecretStr
from redis import Redis
from redis_servers import flush
from waiting import wait_until

from trading_platform.client import Platform
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.embedded.stack import Endpoints
from trading_platform.resources.platform import open_platform
from trading_platform.simulator.seeded import SeededMarket
from trading_platform.simulator.server import running_exchange, stream_url
from trading_platform.streaming.feeds import Shard
from trading_platform.streaming.replay.recording import Recording


@pytest.fixture
def ours(stack: Endpoints, redis_url: str) -> Iterator[Installation]:
    with Redis.from_url(redis_url) as client:
        flush(client)  # quotes of the test before
    with (
        running_exchange(SeededMarket(5, ("BTCUSD", "ETHUSD"), trades_per_minute=200)) as url,
        installation(stack.database_url) as made,
    ):
        made.variables |= {"KRAKEN_API_URL": url, "KRAKEN_WS_URL": stream_url(url), "REDIS_URL": redis_url}
        yield made


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


def add(made: Installation, symbol: str, source: str = "kraken") -> None:
    with open_platform(made.settings()) as platform:
        platform.stores.instruments.add(Instrument(symbol, AssetClass.CRYPTO, "24/7", source))


def test_quotes_can_be_read_while_it_runs_and_sigterm_ends_it(ours: Installation) -> None:
    add(ours, "BTCUSD")
    add(ours, "ETHUSD")
    recording = ours.data_dir / "feed.jsonl.gz"
    process = ours.start("stream", "--record", str(recording), "--json")
    settings = ours.settings().model_copy(update={"redis_url": SecretStr(ours.variables["REDIS_URL"])})
    with Platform.connect(settings) as platform:
        wait_until(lambda: len(platform.quotes()) == 2, "two quotes", running=process)
        session = wait_until(lambda: platform.session, "the session's state", running=process)
        quotes = platform.quotes()
    assert set(quotes) == {"BTCUSD", "ETHUSD"}
    assert quotes["BTCUSD"].bid is not None
    assert session["symbols"] == "2"
    summary = ended(process)
    assert summary["events"] > 0
    assert summary["quotes_written"] > 0
    assert all(part["error"] is None for part in summary["parts"])
    assert Recording(recording).header.source == "kraken"


def test_what_cannot_be_streamed_is_said_with_what_to_do(ours: Installation) -> None:
    nothing = ours.run("stream")
    assert nothing.code == 2
    assert "nothing to stream" in nothing.text
    add(ours, "SPY", "file")
    foreign = ours.run("stream", "SPY")
    assert foreign.code == 2
    assert "SPY from file" in foreign.text
    unknown = ours.run("stream", "BTCUSDD")
    assert unknown.code == 2
    assert "no instrument 'BTCUSDD'" in unknown.text


def test_a_pair_that_kraken_does_not_list(ours: Installation) -> None:
    add(ours, "NOSUCHUSD")
    found = ours.run("stream", "NOSUCHUSD", "--duration", "5")
    assert found.code in (1, 2)
    assert "does not list the pair" in found.text


def wait_for_quotes(made: Installation, symbols: set[str], *processes: subprocess.Popen[str]) -> None:
    settings = made.settings().model_copy(update={"redis_url": SecretStr(made.variables["REDIS_URL"])})
    with Platform.connect(settings) as platform:

        def there() -> bool:
            for process in processes:
                assert process.poll() is None, process.communicate()
            return set(platform.quotes()) == symbols

        wait_until(there, f"quotes of {symbols}")


def ended(process: subprocess.Popen[str]) -> dict[str, Any]:
    process.send_signal(signal.SIGTERM)
    found = finish(process)
    assert found.code == 0, found.text
    return dict(found.json)


@pytest.mark.exhaustive
def test_processes_share_the_universe_and_no_symbol_is_streamed_twice(ours: Installation, redis: Redis) -> None:
    add(ours, "BTCUSD")
    add(ours, "ETHUSD")
    shares = [Shard(1, 2), Shard(2, 2)]
    assert ["BTCUSD" in shard for shard in shares] != ["ETHUSD" in shard for shard in shares]
    both = [ours.start("stream", "--shard", str(shard), "--json") for shard in shares]
    wait_for_quotes(ours, {"BTCUSD", "ETHUSD"}, *both)
    third = ours.run("stream", "ETHUSD", "--duration", "5")
    assert third.code == 2
    assert "ETHUSD is being streamed by another process" in third.text
    assert {redis.get("circuit:feed:1/2"), redis.get("circuit:feed:2/2")} == {"closed"}
    assert all(ended(process)["quotes_written"] for process in both)
    streams = rows(ours.database_url, "SELECT stream FROM market_data.stream_positions ORDER BY stream")
    assert streams == [("kraken 1/2",), ("kraken 2/2",)]
    alone = ours.run("stream", "ETHUSD", "--duration", "2")
    assert alone.code == 0, alone.text


@pytest.mark.exhaustive
def test_where_there_is_no_push_quotes_are_asked_for_and_no_bar_is_made_of_them(ours: Installation) -> None:
    add(ours, "BTCUSD")
    add(ours, "ETHUSD")
    ours.variables |= {"KRAKEN_LIVE": "polling", "KRAKEN_WS_URL": "ws://127.0.0.1:9/v2"}
    process = ours.start("stream", "--json")
    wait_for_quotes(ours, {"BTCUSD", "ETHUSD"}, process)
    summary = ended(process)
    assert summary["quotes"] >= 2
    assert summary["bars"] == 0
    assert rows(ours.database_url, "SELECT * FROM market_data.coverage") == []
    assert rows(ours.database_url, "SELECT * FROM market_data.outages") == []
