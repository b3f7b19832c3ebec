"""The command ``stream`` among servers that die, recover and are late: it waits, says so, and goes on by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from clusters import running_cluster
from commands import Installation, finish, installation, rows
from pydantic import SecretStr
from redis import Redis
from redis.exceptions import RedisError
from small_disks import mounted
from waiting import until, wait_until

from trading_platform.cli.live.stream import open_stream, when_possible
from trading_platform.cli.live.stream_feeds import Wanted
from trading_platform.domain.errors import InvalidRequest, StoreUnavailable
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.embedded.postgres import PostgresServer
from trading_platform.embedded.redis import RedisServer
from trading_platform.embedded.stack import Endpoints, stop_stack
from trading_platform.resources.platform import open_platform
from trading_platform.settings import Settings
from trading_platform.simulator.seeded import SeededMarket
from trading_platform.simulator.server import running_exchange, stream_url
from trading_platform.sources.live import Backoff
from trading_platform.streaming.feeds import Shard
from trading_platform.streaming.process import StreamProcess

SIX = ("ADAUSD", "BTCUSD", "DOTUSD", "ETHUSD", "SOLUSD", "XRPUSD")


@pytest.fixture(scope="module")
def exchange() -> Iterator[str]:
    with running_exchange(SeededMarket(5, SIX, trades_per_minute=200)) as url:
        yield url


@contextmanager
def on_server(server_url: str, redis_url: str | None, exchange: str) -> Iterator[Installation]:
    with installation(server_url) as made:
        made.variables |= {"KRAKEN_API_URL": exchange, "KRAKEN_WS_URL": stream_url(exchange)}
        if redis_url is not None:
            made.variables["REDIS_URL"] = redis_url
        yield made


def add(made: Installation, *symbols: str) -> None:
    with open_platform(made.settings()) as platform:
        for symbol in symbols:
            platform.stores.instruments.add(Instrument(symbol, AssetClass.CRYPTO, "24/7", "kraken"))


def test_a_stream_that_cannot_begin_yet_waits_and_says_what_for(
    new_settings: Callable[..., Settings], caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody answers at the address; after so many seconds it is given up, without any for ever."""
    settings = new_settings(
        database_url="postgresql://postgres@127.0.0.1:9/x",
        dagster_database_url="postgresql://postgres@127.0.0.1:9/y",
        redis_url="redis://127.0.0.1:9/0",
    )
    slept: list[float] = []
    opening = when_possible(
        lambda: open_stream(settings, Wanted()), 60, sleep=slept.append, backoff=Backoff(jitter=lambda: 0, longest=15)
    )
    with pytest.raises(StoreUnavailable), opening:
        pass
    assert slept == [1, 2, 4, 8, 15, 15, 15]
    assert caplog.text.count("the stream cannot begin yet and tries again") == len(slept)


def test_what_waiting_does_not_help_is_said_at_once() -> None:
    def opening() -> None:
        raise InvalidRequest("There is nothing to stream.")

    with pytest.raises(InvalidRequest), when_possible(opening, sleep=lambda _: pytest.fail("it waited")):  # type: ignore[arg-type]
        pass


def test_a_shard_without_a_symbol_runs_and_says_so(
    stack: Endpoints, redis_url: str, exchange: str, caplog: pytest.LogCaptureFixture
) -> None:
    shards = [Shard(number, 3) for number in (1, 2, 3)]
    (empty,) = [shard for shard in shards if not any(symbol in shard for symbol in SIX)]
    wanted = Wanted(shard=empty)

    async def work(process: StreamProcess) -> dict[str, str]:
        stop = asyncio.Event()
        running = asyncio.create_task(process.run(stop))
        with Redis.from_url(redis_url, decode_responses=True) as client:
            state = await until(lambda: client.hgetall("session:state"), "its state")
        stop.set()
        await running
        return dict(state)

    with on_server(stack.database_url, redis_url, exchange) as ours:
        add(ours, *SIX)
        settings = ours.settings().model_copy(update={"redis_url": SecretStr(redis_url)})
        with open_stream(settings, wanted) as process:
            state = asyncio.run(work(process))
        with (
            pytest.raises(InvalidRequest, match="nothing to record"),
            open_stream(settings, wanted, ours.data_dir / "x"),
        ):
            pass
    assert f"shard {empty} has none of the 6 symbols" in caplog.text
    assert (state[f"state:{empty}"], state[f"symbols:{empty}"], state[f"reason:{empty}"]) == ("streaming", "0", "")


@pytest.mark.exhaustive
def test_embedded_servers_that_are_killed_are_brought_back(exchange: str, stack: Endpoints) -> None:
    embedded = {"DATABASE_URL": None, "DAGSTER_DATABASE_URL": None}
    with on_server(stack.database_url, None, exchange) as ours:
        assert ours.run("instruments", "add", "BTCUSD", more=embedded).code == 0
        process = ours.start("stream", "--json", more=embedded)
        postgres, redis = PostgresServer(ours.data_dir), RedisServer(ours.data_dir)

        def updated() -> str:
            with suppress(RedisError, StoreUnavailable), redis.client() as client:
                return str((client.hget("session:state", "updated_at") or b"").decode())  # type: ignore[union-attr]
            return ""

        wait_until(updated, "its state", running=process)
        for _ in range(2):
            before = updated()
            killed = [postgres.running().process, redis.running()]  # type: ignore[union-attr]
            for server in killed:
                os.kill(server.pid, signal.SIGKILL)  # type: ignore[union-attr]
            wait_until(lambda: postgres.running() and redis.running(), "both servers", running=process)
            wait_until(lambda since=before: updated() > since, "its state after that", running=process)  # type: ignore[misc]
            wait_until(lambda: ended_incidents(postgres) and None not in ended_incidents(postgres), "the events")
        process.send_signal(signal.SIGTERM)
        ended = finish(process)
    assert ended.code == 0, ended.text
    assert "PostgreSQL had died; it is started again" in ended.text
    assert "Redis had died; it is started again" in ended.text
    assert all(part["name"] for part in ended.json["parts"])


def ended_incidents(postgres: PostgresServer) -> list[str | None]:
    """The servers whose absence was recorded with its end; None for one without an end."""
    statement = (
        "SELECT metadata->>'server', (metadata->>'over')::boolean FROM audit.system_events WHERE event_type = %s"
    )
    with suppress(psycopg.Error, StoreUnavailable):
        found = rows(postgres.url("trading"), statement, ["server_away"])
        open_ = {name for name, over in found if not over and found.count((name, True)) < found.count((name, False))}
        return [None if name in open_ else name for name, over in found if over] or [*open_]
    return [None]


@pytest.fixture
def disk_of_a_platform() -> Iterator[Path]:
    """A disk that the embedded servers just fit on; only root may have one."""
    folder = Path(tempfile.mkdtemp(prefix="tp-"))
    try:
        with mounted(folder, "300m"):
            yield folder
            stop_stack(Settings(_env_file=None, data_dir=folder / "data"), force=True)  # type: ignore[call-arg]
    finally:
        folder.rmdir()


@pytest.mark.exhaustive
def test_a_disk_that_fills_up_under_everything_is_waited_for(
    exchange: str, stack: Endpoints, disk_of_a_platform: Path
) -> None:
    """The disk of both embedded servers: whatever they do about it, all goes on once there is room."""
    data, ballast = disk_of_a_platform / "data", disk_of_a_platform / "ballast"
    embedded = {"DATABASE_URL": None, "DAGSTER_DATABASE_URL": None, "DATA_DIR": str(data)}
    with on_server(stack.database_url, None, exchange) as ours:
        assert ours.run("instruments", "add", "BTCUSD", more=embedded).code == 0
        process = ours.start("stream", "--json", more=embedded)
        postgres = PostgresServer(data)

        def minutes() -> int:
            with suppress(psycopg.Error, StoreUnavailable):
                return int(rows(postgres.url("trading"), "SELECT count(*) FROM market_data.bars_1m")[0][0])
            return -1

        wait_until(lambda: minutes() >= 1, "a minute", running=process)
        with suppress(OSError), ballast.open("ab", buffering=0) as file:
            while file.write(bytes(65536)):
                pass
        assert process.stderr is not None
        said = process.stderr.readline()
        assert any(word in said.lower() for word in ("space", "does not answer", "rejected", "misconf")), said
        stored = minutes()
        ballast.unlink()
        wait_until(lambda: minutes() > max(stored, 0), "minutes after that", running=process)
        process.send_signal(signal.SIGTERM)
        ended = finish(process)
        assert ended.code == 0, ended.text


@pytest.mark.exhaustive
def test_a_stream_that_is_started_while_the_database_recovers_waits_for_it(exchange: str, redis_url: str) -> None:
    with running_cluster(18) as cluster, on_server(cluster.url, redis_url, exchange) as ours:
        add(ours, "BTCUSD")
        cluster.stop()
        process = ours.start("stream", "--json")
        try:
            assert process.stderr is not None
            first = process.stderr.readline()
            assert "the stream cannot begin yet" in first
        finally:
            cluster.start()
        with Redis.from_url(redis_url, decode_responses=True) as client:
            wait_until(lambda: client.hgetall("quote:BTCUSD"), "a quote", running=process)
        process.send_signal(signal.SIGTERM)
        ended = finish(process)
    assert ended.code == 0, ended.text
